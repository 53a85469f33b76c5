"""OFER's networks in eager PyTorch, written from the paper, for comparisons of speed.

The layers bear the published names, so a published state dict loads as it is, and the golden values
of the tests check them. No trick of ours is in here: no product computed once instead of per sample
and step, one call for each small layer, as the published description reads.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Sinusoid(nn.Module):
    """Steps [B] to [B, dim]: sines, then cosines."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.half = dim // 2

    def forward(self, t: Tensor) -> Tensor:
        scale = -math.log(10_000) / (self.half - 1)
        angles = t[:, None] * torch.exp(torch.arange(self.half, device=t.device) * scale)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class Half(nn.Module):
    """SiLU(Norm(Conv(x)) (1 + scale) + shift)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv1d(inputs, width, 1)
        self.norm = nn.GroupNorm(1, width)

    def forward(self, x: Tensor, modulation: tuple[Tensor, Tensor] | None = None) -> Tensor:
        h = self.norm(self.proj(x))
        if modulation is not None:
            h = h * (modulation[0] + 1) + modulation[1]
        return F.silu(h)


class ResBlock(nn.Module):
    """A residual block, modulated by concat(time, context)."""

    def __init__(self, inputs: int, width: int, condition: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(condition, 2 * width))
        self.block1, self.block2 = Half(inputs, width), Half(width, width)
        self.res_conv = nn.Conv1d(inputs, width, 1) if inputs != width else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.mlp(condition)[..., None].chunk(2, dim=1)
        return self.block2(self.block1(x, (scale, shift))) + self.res_conv(x)


class Norm(nn.Module):
    """x / |x| g sqrt(d)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * self.g * x.shape[1] ** 0.5


class Attention(nn.Module):
    """One vector as 16 tokens that attend to each other, then back to one."""

    def __init__(self, width: int, tokens: int = 16, heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        inner = heads * head_dim
        self.to_qkv = nn.ModuleList(
            nn.Conv1d(width, 3 * inner, 1, bias=False) for _ in range(tokens)
        )
        self.to_out = nn.Conv1d(inner, width, 1)
        self.to_out_linear = nn.Linear(tokens, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat([project(x) for project in self.to_qkv], dim=-1)  # [B, 3 inner, tokens]
        parts = tokens.chunk(3, dim=1)
        q, k, v = (p.unflatten(1, (self.heads, self.head_dim)) for p in parts)
        weights = torch.einsum("bhdi,bhdj->bhij", q * self.head_dim**-0.5, k).softmax(dim=-1)
        mixed = torch.einsum("bhij,bhdj->bhdi", weights, v).flatten(1, 2)
        return self.to_out_linear(self.to_out(mixed))


class Wrapped(nn.Module):
    """Names only: the published layers nest one `fn` in another."""

    def __init__(self, fn: nn.Module, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.fn = fn
        if norm is not None:
            self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x)) if hasattr(self, "norm") else x + self.fn(x)


def attention(width: int) -> nn.Module:
    """x + attention(norm(x))."""
    return Wrapped(Wrapped(Attention(width), Norm(width)))


def linears(*widths: int) -> nn.Sequential:
    """Linear, SiLU, Linear."""
    a, b, c = widths
    return nn.Sequential(nn.Linear(a, b), nn.SiLU(), nn.Linear(b, c))


class Denoiser(nn.Module):
    """x [B, D], t [B], context [B, C] to the predicted noise [B, D]."""

    def __init__(self, dims: Sequence[int], context_dim: int, time_dim: int = 512) -> None:
        super().__init__()
        c = time_dim + context_dim
        pairs = list(itertools.pairwise(dims))
        self.dim = dims[0]
        self.init_conv = nn.Conv1d(dims[0], dims[0], 1)
        self.time_mlp = nn.Sequential(
            Sinusoid(time_dim), nn.Linear(time_dim, time_dim), nn.GELU(),
            nn.Linear(time_dim, time_dim),
        )  # fmt: skip
        self.downs = nn.ModuleList(
            nn.ModuleList([ResBlock(a, a, c), ResBlock(a, a, c), attention(a), linears(a, a, b)])
            for a, b in pairs
        )
        middle = dims[-1]
        self.mid_block1, self.mid_block2 = ResBlock(middle, middle, c), ResBlock(middle, middle, c)
        self.mid_attn = attention(middle)
        self.ups = nn.ModuleList(
            nn.ModuleList(
                [linears(b, b, a), ResBlock(2 * a, a, c), ResBlock(2 * a, a, c), attention(a)]
            )
            for a, b in reversed(pairs)
        )
        d = dims[0]
        end = [ResBlock(2 * d, d, c), attention(d), nn.Conv1d(d, d, 1)]
        self.finals = nn.ModuleList([nn.ModuleList(end)])

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        condition = torch.cat([self.time_mlp(t), context], dim=-1)
        h = skip = self.init_conv(x[..., None])
        stack = []
        for first, second, attend, down in self.downs:
            h = first(h, condition)
            stack.append(h)
            h = attend(second(h, condition))
            stack.append(h)
            h = down(h[..., 0])[..., None]
        h = self.mid_block2(self.mid_attn(self.mid_block1(h, condition)), condition)
        for up, first, second, attend in self.ups:
            h = up(h[..., 0])[..., None]
            h = first(torch.cat([h, stack.pop()], dim=1), condition)
            h = attend(second(torch.cat([h, stack.pop()], dim=1), condition))
        block, attend, out = self.finals[0]
        return out(attend(block(torch.cat([h, skip], dim=1), condition)))[..., 0]


class RankLayer(nn.Module):
    """GroupNorm_8(SELU(Linear(x))) sigmoid(Linear(context)) + Linear(context)."""

    def __init__(self, inputs: int, width: int, context_dim: int, last: bool) -> None:
        super().__init__()
        self.mlp = nn.Linear(inputs, width)
        self.scale = nn.Linear(context_dim, width)
        self.shift = nn.Linear(context_dim, width, bias=False)
        if not last:
            self.gn = nn.GroupNorm(8, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        h = self.mlp(x)
        h = self.gn(F.selu(h)) if hasattr(self, "gn") else h
        return h * self.scale(context).sigmoid() + self.shift(context)


class Ranker(nn.Module):
    """Candidates' vertices [B, K, V, 3] (mm) and context [B, C] to scores [B, K]."""

    def __init__(
        self,
        vertices: int = 1785,
        context_dim: int = 1024,
        hidden: Sequence[int] = (4096, 1024, 256, 64),
    ) -> None:
        super().__init__()
        widths = [6 * vertices, *hidden, 1]
        self.ranklayers = nn.ModuleList(
            RankLayer(a, b, context_dim, last=b == 1) for a, b in itertools.pairwise(widths)
        )

    def forward(self, vertices: Tensor, context: Tensor) -> Tensor:
        count = vertices.shape[1]
        x = vertices.flatten(2)
        mean = x.mean(dim=1, keepdim=True).expand_as(x)
        h = torch.cat([mean, x - mean], dim=-1).flatten(0, 1)
        c = context.repeat_interleave(count, dim=0)
        for layer in self.ranklayers:
            h = layer(h, c)
        return h.view(-1, count)

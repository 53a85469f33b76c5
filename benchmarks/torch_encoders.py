"""The published encoders in eager PyTorch, written from the papers, for comparisons of speed.

ArcFace's IResNet-100 (Deng et al., "ArcFace", CVPR 2019) and the image tower of CLIP, a ViT-B/16
(Radford et al., ICML 2021), whose weights FaRL trained. The layers bear the published names, so a
published state dict loads as it is, and the golden values of the tests check them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """Without a bias: a BatchNorm follows."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Block(nn.Module):
    """BatchNorm, convolution, BatchNorm, PReLU, convolution (with the stride), BatchNorm."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, outputs)
        self.bn2, self.prelu = nn.BatchNorm2d(outputs), nn.PReLU(outputs)
        self.conv2, self.bn3 = conv(outputs, outputs, stride=stride), nn.BatchNorm2d(outputs)
        self.downsample = nn.Identity()
        if stride != 1:
            skip = conv(inputs, outputs, 1, stride)
            self.downsample = nn.Sequential(skip, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        h = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(h)) + self.downsample(x)


class ArcFace(nn.Module):
    """Aligned faces [B, 3, 112, 112], from -1 to 1, to embeddings [B, 512], not normalised."""

    def __init__(self, layers: Sequence[int] = (3, 13, 30, 3)) -> None:
        super().__init__()
        self.conv1, self.bn1, self.prelu = conv(3, 64), nn.BatchNorm2d(64), nn.PReLU(64)
        inputs = 64
        for stage, count in enumerate(layers):
            width = 64 * 2**stage
            first, rest = Block(inputs, width, 2), [Block(width, width, 1) for _ in range(1, count)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, *rest))
            inputs = width
        side = 112 // 2 ** len(layers)
        self.stages = [f"layer{i + 1}" for i in range(len(layers))]
        self.bn2 = nn.BatchNorm2d(inputs)
        self.fc = nn.Linear(inputs * side**2, 512)
        self.features = nn.BatchNorm1d(512)

    def forward(self, x: Tensor) -> Tensor:
        h = self.prelu(self.bn1(self.conv1(x)))
        for name in self.stages:
            h = self.get_submodule(name)(h)
        return self.features(self.fc(self.bn2(h).flatten(1)))


class Attention(nn.Module):
    """Heads of 64 values attend to each other's tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width) * width**-0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Four times as wide within; CLIP's GELU is x sigmoid(1.702 x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.c_fc(x)
        return self.c_proj(h * (1.702 * h).sigmoid())


class TransformerBlock(nn.Module):
    """x + attention(LN x), then x + mlp(LN x)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn, self.mlp = Attention(width, heads), Mlp(width)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class FaRL(nn.Module):
    """Faces [B, 3, 224, 224], normalised by MEAN and STD, to embeddings [B, 512]."""

    def __init__(
        self, width: int = 768, layers: int = 12, heads: int = 12, patch: int = 16, out: int = 512
    ) -> None:
        super().__init__()
        tokens = (224 // patch) ** 2 + 1
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(tokens, width) * width**-0.5)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        blocks = [TransformerBlock(width, heads) for _ in range(layers)]
        self.transformer = nn.ModuleDict({"resblocks": nn.Sequential(*blocks)})
        self.proj = nn.Parameter(torch.randn(width, out) * width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.conv1(x).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(x), 1, -1)
        h = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        return self.ln_post(self.transformer["resblocks"](h)[:, 0]) @ self.proj


def arcface_input(images: Tensor) -> Tensor:
    """RGB bytes [B, 112, 112, 3] as ArcFace wants them [B, 3, 112, 112]."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def farl_input(images: Tensor) -> Tensor:
    """RGB bytes [B, 224, 224, 3] as FaRL wants them [B, 3, 224, 224]."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std

"""OFER's denoiser: a U-Net of linear layers over one vector of coefficients.

Residual blocks are modulated by the step and the picture's context; attention turns the vector
into a few tokens and back. With c = concat(time embedding, context):

    scale, shift = split(Linear(SiLU(c)))
    h = SiLU(Norm(Linear(x)) (1 + scale) + shift);  h = SiLU(Norm(Linear(h)));  out = h + x

SiLU works on each entry, so the linear layer is a sum of a part of the step and one of the
context. All blocks' parts are one matrix product each. In sampling the context's part is computed
once for each picture, and the step's once for each step, before the loop: see `sampling_fn`.

Selvaraju et al., "OFER: Occluded Face Expression Reconstruction", CVPR 2025.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float, Int
from ofer_jax.models import layers, products


class ResBlock(nn.Module):
    """A residual block of `width` channels, modulated by scale and shift [B, 2 width]."""

    width: int
    dtype: layers.DType = None

    @nn.compact
    def __call__(self, x: Float[Array, "B A"], modulation: Array) -> Float[Array, "B W"]:
        scale, shift = jnp.split(modulation, 2, axis=-1)
        h = layers.GroupNorm(name="norm_0")(self._dense("linear_0")(x))
        h = nn.silu(h * (1 + scale) + shift)
        h = nn.silu(layers.GroupNorm(name="norm_1")(self._dense("linear_1")(h)))
        return h + (x if x.shape == h.shape else self._dense("skip")(x))

    def _dense(self, name: str) -> nn.Dense:
        return layers.dense(self.width, name=name, dtype=self.dtype)


class Attention(nn.Module):
    """x + attention among `tokens` projections of the normalised vector.

    The published order is attention, a linear layer for each token, then a weighted sum over the
    tokens. All after the softmax is linear, so the sum comes first here: the same numbers for a
    sixteenth of the work.
    """

    tokens: int
    heads: int
    head_dim: int
    dtype: layers.DType = None

    @nn.compact
    def __call__(self, x: Float[Array, "B W"]) -> Float[Array, "B W"]:
        width, inner, values = x.shape[-1], self.heads * self.head_dim, layers.wide(x)
        g = self.param("g", nn.initializers.ones, (width,))
        norm = jnp.sqrt(jnp.maximum(jnp.sum(values * values, axis=-1, keepdims=True), 1e-24))
        n = values / norm * layers.rowwise(g, x) * math.sqrt(width)
        size = self.tokens * 3 * inner
        qkv = layers.dense(size, use_bias=False, name="qkv", dtype=self.dtype)(n)
        qkv = qkv.reshape(-1, self.tokens, 3, self.heads, self.head_dim)
        q, k, v = (qkv[:, :, i].swapaxes(1, 2) for i in range(3))  # [B, heads, tokens, head_dim]
        weights = layers.attend(q, k)
        mix = self.param("mix", layers.uniform_init, (self.tokens, 1))
        mix_bias = self.param("mix_bias", nn.initializers.zeros, (1,))
        by_key = jnp.sum(weights * mix.reshape(1, 1, -1, 1), axis=2)  # [B, heads, tokens]
        mixed = jnp.sum(by_key[..., None] * v, axis=2).reshape(-1, inner)
        kernel = self.param("out", layers.uniform_init, (inner, width))
        bias = self.param("out_bias", nn.initializers.zeros, (width,))
        product = products.matmul(*products.promote(mixed, kernel, dtype=self.dtype))
        out = product + layers.rowwise(bias * jnp.sum(mix) + mix_bias, x)
        return layers.as_input(values + out, x)


class Denoiser(nn.Module):
    """Predicts from xt [B, D], the step t [B] and the context [B, C] what `prediction_type` says.

    `widths` are the channels of the stages; `dim` is D, if it is not widths[0]. Without
    `attention` it is several times faster.
    """

    widths: Sequence[int] = (300, 50, 10)
    context_dim: int = 512
    time_dim: int = 512
    tokens: int = 16
    heads: int = 4
    head_dim: int = 32
    attention: bool = True
    dim: int | None = None
    dtype: layers.DType = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Denoiser:
        """From these fields' names, or from a published network's configuration."""
        if "dims" not in config:
            return layers.build(cls, config)
        names = {"dims": "widths", "context_dim": "context_dim", "numqkv": "tokens"}
        if config.get("numattn", 1) != 1 or config.get("flame_dim") != config["dims"][0]:
            raise ValueError(f"need numattn 1 and flame_dim equal to dims[0]; got {dict(config)}")
        extra = {k: v for k, v in config.items() if k not in (*names, "flame_dim", "numattn")}
        return layers.build(cls, {names[k]: config[k] for k in names if k in config} | extra)

    def setup(self) -> None:
        pairs = list(itertools.pairwise(self.widths))
        dense = functools.partial(layers.dense, dtype=self.dtype)
        self.init_linear = dense(self.widths[0])
        self.time_linear = [dense(self.time_dim) for _ in range(2)]
        self.blocks = [ResBlock(width, self.dtype) for width in self.block_widths]
        self.down_linear = [dense(w) for pair in pairs for w in pair]
        self.up_linear = [dense(w) for a, b in reversed(pairs) for w in (b, a)]
        self.time_modulation = self._modulation(self.time_dim, use_bias=True)
        self.context_modulation = self._modulation(self.context_dim, use_bias=False)
        if self.attention:
            count = 2 * len(pairs) + 2
            self.attentions = [
                Attention(self.tokens, self.heads, self.head_dim, self.dtype) for _ in range(count)
            ]
        self.out_linear = layers.dense(self.dim or self.widths[0])

    @property
    def block_widths(self) -> tuple[int, ...]:
        """The widths of the blocks in running order: two a stage, two between, one at the end."""
        stages = self.widths[:-1]
        middle = (self.widths[-1],) * 2
        down = tuple(w for w in stages for _ in range(2))
        up = tuple(w for w in reversed(stages) for _ in range(2))
        return (*down, *middle, *up, self.widths[0])

    def __call__(
        self, x: Float[Array, "B D"], t: Int[Array, "B"], context: Float[Array, "B C"]
    ) -> Float[Array, "B D"]:
        if context.shape[-1] != self.context_dim or x.shape[-1] != (self.dim or self.widths[0]):
            wanted = f"[B, {self.dim or self.widths[0]}] and context [B, {self.context_dim}]"
            raise ValueError(f"need x {wanted}; got {x.shape} and {context.shape}")
        return self.denoise(x, self.modulate_time(t) + self.modulate_context(context))

    def modulate_time(self, t: Int[Array, "B"]) -> Float[Array, "B Z"]:
        """The step's part of all blocks' scales and shifts."""
        first, second = self.time_linear
        embedded = second(layers.gelu(first(sinusoid(t, self.time_dim))))
        return self.time_modulation(nn.silu(embedded))

    def modulate_context(self, context: Float[Array, "B C"]) -> Float[Array, "B Z"]:
        """The context's part of all blocks' scales and shifts."""
        return self.context_modulation(nn.silu(context))

    def denoise(self, x: Float[Array, "B D"], modulation: Float[Array, "B Z"]) -> Array:
        """The network, given the sum of both parts of the modulation."""
        ends = list(itertools.accumulate(2 * w for w in self.block_widths))
        parts = jnp.split(modulation, ends[:-1], axis=-1)
        blocks = zip(self.blocks, parts, strict=True)
        attentions = iter(self.attentions) if self.attention else itertools.repeat(lambda h: h)

        def run(h: Array) -> Array:
            block, part = next(blocks)
            return block(h, part)

        def attend(h: Array) -> Array:
            return next(attentions)(h)

        h = skip = self.init_linear(x)
        stack = []
        for first, second in _pairs(self.down_linear):
            stack.append(h := run(h))
            stack.append(h := attend(run(h)))
            h = second(nn.silu(first(h)))
        h = run(attend(run(h)))
        for first, second in _pairs(self.up_linear):
            h = second(nn.silu(first(h)))
            h = run(jnp.concatenate([h, stack.pop()], axis=-1))
            h = attend(run(jnp.concatenate([h, stack.pop()], axis=-1)))
        h = attend(run(jnp.concatenate([h, skip], axis=-1)))
        return self.out_linear(layers.wide(h))

    def _modulation(self, fan_in: int, *, use_bias: bool) -> nn.Dense:
        """A part of one linear layer over both inputs, so drawn with the fan-in of both."""
        share = fan_in / (self.time_dim + self.context_dim)
        init = nn.initializers.variance_scaling(share / 3, "fan_in", "uniform")
        size = 2 * sum(self.block_widths)
        return nn.Dense(size, use_bias=use_bias, kernel_init=init, dtype=self.dtype)


def sampling_fn(
    net: Denoiser,
    variables: Mapping[str, Any],
    context: Float[Array, "B C"],
    num_samples: int,
    times: Int[Array, "N"],
) -> Callable[[Float[Array, "R D"], Int[Array, ""]], Float[Array, "R D"]]:
    """`predict(xt [B K, D], i)` at the step times[i], for K = num_samples samples of B pictures.

    Sample k of picture b is row b K + k. What depends on the context alone is computed here, once a
    picture, and what depends on the step alone, for all of `times` at once.
    """
    of_context = net.apply(variables, context, method="modulate_context")
    of_times = net.apply(variables, times, method="modulate_time")

    def predict(x: Array, i: Array) -> Array:
        of_pictures = of_context + of_times[i][None]
        modulation = jnp.repeat(of_pictures, num_samples, axis=0)
        return net.apply(variables, x, modulation, method="denoise")

    return predict


def sinusoid(t: Int[Array, "B"], dim: int) -> Float[Array, "B dim"]:
    """Sines, then cosines of t at dim / 2 frequencies from 1 down to 1 / 10000."""
    half = dim // 2
    frequencies = jnp.exp(jnp.arange(half) * (-math.log(10_000) / (half - 1)))
    angles = t.astype(frequencies.dtype)[:, None] * frequencies[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def _pairs(items: Sequence[nn.Dense]) -> list[tuple[nn.Dense, nn.Dense]]:
    return list(zip(items[::2], items[1::2], strict=True))

"""Layers that the networks share, and the way they are built from a configuration.

`dtype` is what a network computes in. None: as its inputs and params are. With bfloat16 (say
'bfloat16') its matrix products, convolutions and what lies between are of that type; params, the
statistics of norms, softmax and the last layer stay float32, and so do its results.
Kernels that are bfloat16 themselves are another thing, see `models.products`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from ofer_jax import across
from ofer_jax.arrays import Array, Float
from ofer_jax.models import products

M = TypeVar("M", bound=nn.Module)
DType = str | None

uniform_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # PyTorch's default


def dense(
    features: int, *, use_bias: bool = True, name: str | None = None, dtype: DType = None
) -> nn.Dense:
    """A linear layer with PyTorch's initial scale, as the published networks have."""
    return nn.Dense(
        features,
        use_bias=use_bias,
        kernel_init=uniform_init,
        name=name,
        dtype=dtype,
        promote_dtype=products.promote,
        dot_general=products.dot_general,
    )


def conv(
    features: int, *, size: int = 3, stride: int = 1, name: str | None = None, dtype: DType = None
) -> nn.Conv:
    """A convolution without bias, padded as PyTorch's `padding=size // 2` (Linen's SAME is off by
    one pixel at stride 2)."""
    return nn.Conv(
        features,
        (size, size),
        strides=stride,
        padding=size // 2,
        use_bias=False,
        name=name,
        dtype=dtype,
        promote_dtype=products.promote,
        conv_general_dilated=products.convolution,
    )


def wide(x: Array) -> Array:
    """`x` in float32, if it is in less."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def as_input(out: Array, x: Array) -> Array:
    """What was computed of `wide(x)`, in the type that `x` has if that is narrower."""
    return out if wide(x).dtype == x.dtype else out.astype(x.dtype)


def attend(q: Float[Array, "*B N D"], k: Float[Array, "*B N D"]) -> Float[Array, "*B N N"]:
    """softmax(q k^T / sqrt(D)), the softmax in float32 at least."""
    return nn.softmax(wide((q * q.shape[-1] ** -0.5) @ k.swapaxes(-1, -2)), axis=-1)


class GroupNorm(nn.Module):
    """Normalises the last axis in `groups` equal parts, then scales and shifts each channel.

    Unlike Linen's, it never mixes other axes: the candidates of a picture stay apart. With one
    group it is the usual LayerNorm.
    """

    groups: int = 1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Float[Array, "*B C"]) -> Float[Array, "*B C"]:
        channels = x.shape[-1]
        if channels % self.groups:
            raise ValueError(f"{channels} channels do not split into {self.groups} groups")
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        parts = wide(x).reshape(*x.shape[:-1], self.groups, -1)
        centred = parts - jnp.mean(parts, axis=-1, keepdims=True)
        variance = jnp.mean(centred * centred, axis=-1, keepdims=True)
        out = (centred * jax.lax.rsqrt(variance + self.epsilon)).reshape(x.shape)
        return as_input(out * rowwise(scale, x) + rowwise(bias, x), x)


class BatchNorm(nn.Module):
    """Normalises each channel (the last axis) over all other axes, by PyTorch's conventions.

    With `train` by the batch's own mean and (biased) variance, and the collection 'batch_stats'
    follows: running <- 0.9 running + 0.1 batch, where the running *variance* takes in the unbiased
    one, n / (n - 1) times the biased, of n values a channel. Linen's takes in the biased one, and
    so would let imported statistics drift. Without `train` by the running ones.

    The batch is the whole one, however many devices share it.
    """

    train: bool
    momentum: float = 0.1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Float[Array, "*B C"]) -> Float[Array, "*B C"]:
        """Raises ValueError in training on a single value a channel, as PyTorch does."""
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        mean, variance, values = running_mean.value, running_var.value, wide(x)
        if self.train:
            count = x.size // channels * across.count()
            if count < 2:
                raise ValueError("BatchNorm cannot train on one picture; give it a larger batch")
            axes = tuple(range(x.ndim - 1))
            mean = across.mean(jnp.mean(values, axes))
            variance = across.mean(jnp.mean((values - rowwise(mean, x)) ** 2, axes))
            unbiased = variance * (count / (count - 1))
            running_mean.value += self.momentum * (mean - running_mean.value)
            running_var.value += self.momentum * (unbiased - running_var.value)
        factor = scale * jax.lax.rsqrt(variance + self.epsilon)
        return as_input((values - rowwise(mean, x)) * rowwise(factor, x) + rowwise(bias, x), x)


class Mlp(nn.Module):
    """Linear, LayerNorm, GELU and dropout for each hidden width, then a linear layer.

    Layers of equal width are residual. `deterministic=False` needs an rng named 'dropout'.
    """

    out_dim: int
    hidden: Sequence[int] = (512, 512)
    dropout: float = 0.0
    input_dropout: float = 0.0
    dtype: DType = None

    @nn.compact
    def __call__(self, x: Float[Array, "*B F"], deterministic: bool = True) -> Float[Array, "*B O"]:
        x = nn.Dropout(self.input_dropout)(x, deterministic=deterministic)
        for i, width in enumerate(self.hidden):
            h = dense(width, name=f"hidden_{i}", dtype=self.dtype)(x)
            h = gelu(GroupNorm(name=f"norm_{i}")(h))
            h = nn.Dropout(self.dropout)(h, deterministic=deterministic)
            x = x + h if i and x.shape == h.shape else h
        return dense(self.out_dim, name="out")(wide(x))


def gelu(x: Array) -> Array:
    """The exact form (erf), not JAX's default."""
    return jax.nn.gelu(x, approximate=False)


def rowwise(vector: Float[Array, "C"], like: Float[Array, "*B C"]) -> Float[Array, "*1 C"]:
    """A vector over the last axis with the rank of `like`."""
    return vector.reshape((1,) * (like.ndim - 1) + (-1,))


def build(module: type[M], config: Mapping[str, Any]) -> M:
    """A module from keywords; lists become tuples. Raises ValueError naming unknown keywords."""
    settings = dict(config.items())
    known = set(module.__dataclass_fields__) - {"parent", "name"}
    if unknown := sorted(set(settings) - known):
        raise ValueError(f"{module.__name__} has no setting {unknown}; it knows {sorted(known)}")
    return module(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})

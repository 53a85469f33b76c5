"""ArcFace's IResNet: a 112 x 112 aligned face to an identity embedding.

Residual blocks of BatchNorm, convolution, BatchNorm, PReLU (a slope for each channel), convolution
(with the block's stride), BatchNorm; the shortcut of a stage's first block is a convolution with
BatchNorm. Deng et al., "ArcFace", CVPR 2019; 100 layers have blocks 3-13-30-3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float, UInt8
from ofer_jax.models import layers


class PReLU(nn.Module):
    """max(x, 0) + slope min(x, 0), with a slope for each channel (Linen's has one in all)."""

    @nn.compact
    def __call__(self, x: Float[Array, "*B C"]) -> Float[Array, "*B C"]:
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        return jnp.where(x >= 0, x, layers.rowwise(slope, x) * x)


class Block(nn.Module):
    """A residual block; the first of a stage changes the number of channels and the size."""

    channels: int
    stride: int
    train: bool

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w c"]:
        h = _norm("norm_1", self.train)(x)
        h = _norm("norm_2", self.train)(_conv(self.channels, "conv_1")(h))
        h = _conv(self.channels, "conv_2", stride=self.stride)(PReLU(name="prelu")(h))
        h = _norm("norm_3", self.train)(h)
        if self.stride != 1:
            x = _conv(self.channels, "skip", size=1, stride=self.stride)(x)
            x = _norm("skip_norm", self.train)(x)
        return h + x


class ArcFace(nn.Module):
    """Pictures [B, 112, 112, 3], RGB from -1 to 1, to embeddings [B, 512], not normalised."""

    blocks: Sequence[int] = (3, 13, 30, 3)
    out_dim: int = 512

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ArcFace:
        """From these fields' names, or from the published network's configuration."""
        return layers.build(cls, {{"layers": "blocks"}.get(k, k): v for k, v in config.items()})

    @nn.compact
    def __call__(
        self, x: Float[Array, "B 112 112 3"], train: bool = False, last_norm: bool = True
    ) -> Float[Array, "B 512"]:
        """`train` updates the collection 'batch_stats'.

        The published code leaves out the last BatchNorm for a batch of one: `last_norm=False`.
        """
        x = PReLU(name="prelu")(_norm("norm", train)(_conv(64, "conv")(x)))
        for stage, count in enumerate(self.blocks):
            for i in range(count):
                block = Block(64 * 2**stage, 1 if i else 2, train, name=f"stage_{stage + 1}_{i}")
                x = block(x)
        x = _norm("out_norm", train)(x)
        x = layers.dense(self.out_dim, name="fc")(x.reshape(x.shape[0], -1))
        return _norm("features", train)(x) if last_norm else x


def arcface_input(images: UInt8[Array, "B 112 112 3"]) -> Float[Array, "B 112 112 3"]:
    """RGB bytes as the network wants them."""
    return images.astype(jnp.float32) / 127.5 - 1.0


def _norm(name: str, train: bool) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, name=name)


def _conv(channels: int, name: str, *, size: int = 3, stride: int = 1) -> nn.Conv:
    """With the padding of the published network: Linen's SAME is off by one pixel at stride 2."""
    return nn.Conv(
        channels, (size, size), strides=stride, padding=size // 2, use_bias=False, name=name
    )

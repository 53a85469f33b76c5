"""ArcFace's IResNet: a 112 x 112 aligned face to an identity embedding.

Residual blocks of BatchNorm, convolution, BatchNorm, PReLU (a slope for each channel), convolution
(with the block's stride), BatchNorm; the shortcut of a stage's first block is a convolution with
BatchNorm. Deng et al., "ArcFace", CVPR 2019; 100 layers have blocks 3-13-30-3.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float, UInt8
from ofer_jax.models import layers


class PReLU(nn.Module):
    """max(x, 0) + slope min(x, 0), with a slope for each channel (Linen's has one in all)."""

    @nn.compact
    def __call__(self, x: Float[Array, "*B C"]) -> Float[Array, "*B C"]:
        slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],))
        values = layers.wide(x)
        return layers.as_input(jnp.where(x >= 0, values, layers.rowwise(slope, x) * values), x)


class Block(nn.Module):
    """A residual block; the first of a stage changes the number of channels and the size."""

    channels: int
    stride: int
    train: bool
    dtype: layers.DType = None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w c"]:
        conv = functools.partial(layers.conv, self.channels, dtype=self.dtype)
        h = _norm("norm_1", self.train)(x)
        h = _norm("norm_2", self.train)(conv(name="conv_1")(h))
        h = PReLU(name="prelu")(h)
        h = conv(stride=self.stride, name="conv_2")(h)
        h = _norm("norm_3", self.train)(h)
        if self.stride != 1:
            x = conv(size=1, stride=self.stride, name="skip")(x)
            x = _norm("skip_norm", self.train)(x)
        return h + x


class ArcFace(nn.Module):
    """Aligned faces to identity embeddings [B, 512], not normalised; the published IResNet-100.

    Input: [B, 112, 112, 3], RGB from -1 to 1, float32 (see `arcface_input`), the eyes, nose and
    mouth at insightface's five points (`faces.crop_112`). Two embeddings show one person when the
    cosine of their angle is large.

        variables = importers.arcface("backbone.pth")  # {'params', 'batch_stats'}
        embedding = ArcFace().apply(variables, arcface_input(crops))  # uint8 crops

    The stem and the first `frozen_stages` stages (0: none, not even the stem) keep to their running
    statistics and pass no gradient back, so that training pays for their forward pass alone.
    """

    blocks: Sequence[int] = (3, 13, 30, 3)
    out_dim: int = 512
    width: int = 64  # channels of the first stage; each further one has twice as many
    frozen_stages: int = 0
    dtype: layers.DType = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ArcFace:
        """From these fields' names, or from the published network's configuration."""
        return layers.build(cls, {{"layers": "blocks"}.get(k, k): v for k, v in config.items()})

    @nn.compact
    def __call__(
        self, x: Float[Array, "B 112 112 3"], train: bool = False, last_norm: bool = True
    ) -> Float[Array, "B 512"]:
        """`train` normalises by the batch and updates the collection 'batch_stats' (say
        `mutable=['batch_stats']`); a batch of one is then a ValueError.

        The published code leaves out the last BatchNorm for a batch of one: `last_norm=False`.
        """
        frozen = self.frozen_stages
        if not 0 <= frozen <= len(self.blocks):
            raise ValueError(f"frozen_stages is {frozen}; there are {len(self.blocks)} stages")
        h = _norm("norm", train and not frozen)(
            layers.conv(self.width, name="conv", dtype=self.dtype)(x)
        )
        h = PReLU(name="prelu")(h)
        for stage, count in enumerate(self.blocks):
            for i in range(count):
                channels, moving = self.width * 2**stage, train and stage >= frozen
                name = f"stage_{stage + 1}_{i}"
                h = Block(channels, 1 if i else 2, moving, self.dtype, name=name)(h)
            if stage + 1 == frozen:
                h = jax.lax.stop_gradient(h)
        h = layers.wide(_norm("out_norm", train)(h))
        h = layers.dense(self.out_dim, name="fc")(h.reshape(h.shape[0], -1))
        return _norm("features", train)(h) if last_norm else h


def arcface_input(images: UInt8[Array, "B 112 112 3"]) -> Float[Array, "B 112 112 3"]:
    """RGB bytes as the network wants them."""
    return images.astype(jnp.float32) / 127.5 - 1.0


def _norm(name: str, train: bool) -> layers.BatchNorm:
    return layers.BatchNorm(train, name=name)

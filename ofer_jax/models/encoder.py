"""Small networks on a picture's frozen features: a condition for the diffusion, or an answer.

`FeatureEncoder`, `Regressor` and `Estimator` serve the open head. `MicaRegressor` is the published
baseline of Zielonka et al., "Towards metrical reconstruction of human faces", ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import flax.linen as nn
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float
from ofer_jax.models import layers


class Regressor(nn.Module):
    """Features [B, F] to one answer [B, out_dim]: the deterministic baseline."""

    out_dim: int = 300
    hidden: Sequence[int] = (512,)
    dropout: float = 0.0
    input_dropout: float = 0.0
    dtype: layers.DType = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """From these fields' names."""
        return layers.build(cls, config)

    @nn.compact
    def __call__(
        self, features: Float[Array, "B F"], deterministic: bool = True
    ) -> Float[Array, "B D"]:
        """Training (`deterministic=False`) needs `rngs={'dropout': key}`."""
        sizes = (self.out_dim, self.hidden, self.dropout, self.input_dropout, self.dtype)
        return layers.Mlp(*sizes, name="mlp")(features, deterministic)


class FeatureEncoder(Regressor):
    """Features [B, F] to a context [B, out_dim], normalised to mean 0 and variance 1 by row."""

    out_dim: int = 512

    @nn.compact
    def __call__(
        self, features: Float[Array, "B F"], deterministic: bool = True
    ) -> Float[Array, "B C"]:
        """Training (`deterministic=False`) needs `rngs={'dropout': key}`."""
        return layers.GroupNorm(name="norm")(super().__call__(features, deterministic))


class Estimator(Regressor):
    """A regressor for long features: all but the `leading` ones pass a linear layer of `squeeze`
    outputs first, which keeps the network small and lets the answer choose what to keep of them.
    `input_dropout` falls on these alone."""

    leading: int = 0
    squeeze: int = 0

    @nn.compact
    def __call__(
        self, features: Float[Array, "B F"], deterministic: bool = True
    ) -> Float[Array, "B D"]:
        """Training (`deterministic=False`) needs `rngs={'dropout': key}`."""
        few, many = features[:, : self.leading], features[:, self.leading :]
        if self.squeeze:
            many = nn.Dropout(self.input_dropout)(many, deterministic=deterministic)
            squeeze = layers.dense(self.squeeze, use_bias=False, name="squeeze", dtype=self.dtype)
            many = layers.wide(squeeze(many))
        x = jnp.concatenate([few, many], axis=-1)
        sizes = (self.out_dim, self.hidden, self.dropout, 0.0, self.dtype)
        return layers.Mlp(*sizes, name="mlp")(x, deterministic)


class MicaRegressor(nn.Module):
    """ArcFace embedding [B, 512], L2-normalised, to shape coefficients [B, out_dim]."""

    hidden: int = 300
    depth: int = 4
    out_dim: int = 300

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> MicaRegressor:
        """From these fields' names, or from the published network's configuration."""
        names = {"layers": "depth", "out": "out_dim"}
        settings = {names.get(k, k): v for k, v in config.items() if k != "embedding"}
        return layers.build(cls, settings)

    @nn.compact
    def __call__(self, embedding: Float[Array, "B 512"]) -> Float[Array, "B S"]:
        x = embedding
        for i in range(self.depth):
            x = nn.leaky_relu(layers.dense(self.hidden, name=f"linear_{i}")(x), 0.2)
        return layers.dense(self.out_dim, name="out")(x)

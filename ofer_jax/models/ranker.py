"""OFER's ranker: scores K candidate shapes of one picture, given what the picture says.

The input of candidate k is concat(mean over the candidates, candidate k - mean), so the scores
move with the candidates when these are permuted, for any K. A layer with context c:

    h = GroupNorm_8(SELU(Linear(x))) * sigmoid(Linear(c)) + Linear_no_bias(c)

the last one without norm and activation. The first linear layer is split in two, so that the mean's
part is computed once for each picture.

`distance` (not in the paper) adds -g |x - mean|, the root mean square distance to the candidates'
mean with a learnt factor g > 0. Being near the mean is the best single sign of a good candidate,
and linear layers learn a distance poorly from few lists.

Selvaraju et al., "OFER: Occluded Face Expression Reconstruction", CVPR 2025.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ofer_jax.arrays import Array, Bool, Float
from ofer_jax.models import layers


class Ranker(nn.Module):
    """Scores [B, K] (higher is better) of candidates [B, K, ...], say vertices in millimetres.

    The candidates' trailing axes are flattened: the first variables decide how many values a
    candidate has.
    """

    hidden: Sequence[int] = (4096, 1024, 256, 64)
    groups: int = 8
    distance: bool = False
    dtype: layers.DType = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Ranker:
        """From these fields' names, or from the published network's configuration."""
        sizes = ("shape_dim", "context_dim")  # these follow from the inputs
        return layers.build(cls, {k: v for k, v in config.items() if k not in sizes})

    @nn.compact
    def __call__(
        self,
        candidates: Float[Array, "B K *N"],
        context: Float[Array, "B C"],
        where: Bool[Array, "B K"] | None = None,
    ) -> Float[Array, "B K"]:
        """Candidates that are False in `where` leave the mean; their own score means nothing."""
        x = candidates.reshape(*candidates.shape[:2], -1)
        mean = _mean(x, where)
        near: Array | float = 0.0
        if self.distance:
            gain = self.param("log_gain", nn.initializers.constant(1.0), ())
            near = jnp.exp(gain) * jnp.sqrt(jnp.mean(jnp.square(x - mean), axis=-1) + 1e-12)
        for i, width in enumerate((*self.hidden, 1)):
            inner = i < len(self.hidden)
            dense = functools.partial(layers.dense, width, dtype=self.dtype if inner else None)
            if i == 0:
                h = dense(use_bias=False, name="linear_0")(x - mean) + dense(name="mean_0")(mean)
            else:
                h = dense(name=f"linear_{i}")(x if inner else layers.wide(x))
            if inner:
                h = layers.GroupNorm(self.groups, name=f"norm_{i}")(nn.selu(h))
            scale = nn.sigmoid(dense(name=f"scale_{i}")(context))
            shift = dense(use_bias=False, name=f"shift_{i}")(context)
            x = h * scale[:, None] + shift[:, None]
        return x[..., 0] - near


def _mean(x: Float[Array, "B K N"], where: Bool[Array, "B K"] | None) -> Float[Array, "B 1 N"]:
    if where is None:
        return jnp.mean(x, axis=1, keepdims=True)
    weight = where.astype(x.dtype)[..., None]
    count = jnp.maximum(jnp.sum(weight, axis=1, keepdims=True), 1)
    return jnp.sum(jnp.where(where[..., None], x, 0), axis=1, keepdims=True) / count

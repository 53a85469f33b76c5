"""FaRL's face encoder: the image tower of CLIP, a vision transformer.

Patches and a class token, LayerNorm, blocks x + attention(LN x), x + mlp(LN x), LayerNorm of the
class token, projection. CLIP's GELU is x sigmoid(1.702 x).

Radford et al., "CLIP", ICML 2021; Zheng et al., "General facial representation learning in a
visual-linguistic manner" (FaRL), CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float, UInt8
from ofer_jax.models import layers

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class Block(nn.Module):
    """A transformer block over tokens [B, N, width]."""

    heads: int
    dtype: layers.DType = None

    @nn.compact
    def __call__(self, x: Float[Array, "B N W"]) -> Float[Array, "B N W"]:
        width = x.shape[-1]
        x = x + self._attention(layers.GroupNorm(name="ln_1")(x))
        h = self._dense(4 * width, "mlp_in")(layers.GroupNorm(name="ln_2")(x))
        return x + self._dense(width, "mlp_out")(h * nn.sigmoid(1.702 * h))

    def _dense(self, features: int, name: str) -> nn.Dense:
        return layers.dense(features, name=name, dtype=self.dtype)

    def _attention(self, x: Float[Array, "B N W"]) -> Float[Array, "B N W"]:
        batch, count, width = x.shape
        head_dim = width // self.heads
        qkv = self._dense(3 * width, "qkv")(x).reshape(batch, count, 3, self.heads, head_dim)
        q, k, v = (qkv[:, :, i].swapaxes(1, 2) for i in range(3))  # [B, heads, N, head_dim]
        mixed = layers.as_input(layers.attend(q, k), v) @ v
        return self._dense(width, "out")(mixed.swapaxes(1, 2).reshape(batch, count, width))


class FaRL(nn.Module):
    """Faces to embeddings [B, 512], not normalised; the published ViT-B/16. It has no dropout.

    Input: [B, 224, 224, 3], RGB by CLIP's mean and standard deviation, float32 (see `farl_input`),
    the face with some of its surroundings (`faces.crop_224`).

        variables = importers.farl("FaRL-Base-Patch16-LAIONFace20M-ep64.pth")  # {'params'}
        embedding = FaRL().apply(variables, farl_input(crops))  # uint8 crops
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    patch: int = 16
    out_dim: int = 512
    dtype: layers.DType = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FaRL:
        """From these fields' names, or from the published network's configuration."""
        names = {"layers": "depth", "out": "out_dim"}
        return layers.build(cls, {names.get(k, k): v for k, v in config.items()})

    @nn.compact
    def __call__(self, x: Float[Array, "B 224 224 3"]) -> Float[Array, "B 512"]:
        patches = _patches(x, self.patch)
        embed = layers.dense(self.width, use_bias=False, name="patches", dtype=self.dtype)
        tokens = embed(patches)
        normal = nn.initializers.normal(self.width**-0.5)
        first = self.param("class_embedding", normal, (self.width,))
        first = jnp.broadcast_to(first[None, None], (x.shape[0], 1, self.width))
        h = jnp.concatenate([first, tokens], axis=1)
        h = h + self.param("positional_embedding", normal, h.shape[1:])[None]
        h = layers.as_input(layers.GroupNorm(name="ln_pre")(h), tokens)
        for i in range(self.depth):
            h = Block(self.heads, self.dtype, name=f"block_{i}")(h)
        h = layers.GroupNorm(name="ln_post")(layers.wide(h[:, 0]))
        return layers.dense(self.out_dim, use_bias=False, name="proj")(h)


def farl_input(images: UInt8[Array, "B 224 224 3"]) -> Float[Array, "B 224 224 3"]:
    """RGB bytes, already of the network's size, as it wants them."""
    mean, std = (jnp.asarray(v).reshape(1, 1, 1, 3) for v in (MEAN, STD))
    return (images.astype(jnp.float32) / 255.0 - mean) / std


def _patches(x: Float[Array, "B H W C"], size: int) -> Float[Array, "B N P"]:
    batch, height, width, channels = x.shape
    if height % size or width % size:
        raise ValueError(f"a picture of {height} x {width} does not split into patches of {size}")
    grid = x.reshape(batch, height // size, size, width // size, size, channels)
    return grid.swapaxes(2, 3).reshape(batch, -1, size * size * channels)

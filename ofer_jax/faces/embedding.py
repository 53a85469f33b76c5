"""dlib's face recognition network in JAX: 128 values of identity, and the map they come from.

A residual network of 29 convolutions (King, dlib, 2017, public domain; layers as its published
definition: He et al. 2016 with a learnt scale and shift in place of batch normalisation). Input:
150 x 150 chips from `align.dlib_matrix`, RGB minus a mean colour, over 256.

    stem: conv 7x7/2 32, max pool 3/2            150 -> 72 -> 35
    32 x 3, 64 down + 3, 128 down + 2 (-> middle 8 x 8 x 128), 256 down + 2, 256 down, mean, linear

A block's first convolution strides without padding; its shortcut is a 2 x 2 mean with zeros for the
missing channels (and rows, where the sizes differ by one). Same person: distance below about 0.5.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt8

from ofer_jax import openhead
from ofer_jax.faces import batching

SIZE = 150
EMBEDDING = 128
MIDDLE = (8, 8, 128)
MEAN = (122.782, 117.001, 104.298)
Weights = dict[str, Array]
_MIDDLE_BLOCKS = (
    *("conv32_1", "conv32_2", "conv32_3"),
    *("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2"),
)
_LAST_BLOCKS = ("conv256_down", "conv256_1", "conv256_2", "conv256_down_out")


def dequantise(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """float32 arrays of stored ones: uint8 `NAME` stands for NAME * NAME_scale + NAME_min."""
    weights = {}
    for name, value in stored.items():
        if value.dtype == np.uint8:
            value = value.astype(np.float32) * stored[name + "_scale"] + stored[name + "_min"]
        if value.ndim:
            weights[name] = value.astype(np.float32)
    return weights


@cache
def _network() -> tuple[batching.Function, Weights]:
    return forward, jax.device_put(dequantise(openhead.weights("dlib")))


def embed(
    chips: UInt8[np.ndarray, "B 150 150 3"],
) -> tuple[Float[np.ndarray, "B 128"], Float[np.ndarray, "B 8 8 128"]]:
    """Embedding (float32, not normalised) and middle map of face chips, in jitted batches."""
    chips = np.asarray(chips)
    if chips.dtype != np.uint8 or chips.shape[1:] != (SIZE, SIZE, 3):
        raise ValueError(f"expected uint8 [B, 150, 150, 3] chips, got {chips.dtype}{chips.shape}")
    if not len(chips):
        return np.zeros((0, EMBEDDING), np.float32), np.zeros((0, *MIDDLE), np.float32)
    embedding, middle = batching.run(_network, list(chips))
    return embedding, middle


@jax.jit
def forward(
    weights: Weights, chips: UInt8[Array, "B 150 150 3"]
) -> tuple[Float[Array, "B 128"], Float[Array, "B 8 8 128"]]:
    """The network on one batch; differentiable in its weights."""
    x = (chips.astype(jnp.float32) - jnp.array(MEAN)[None, None, None]) / 256
    x = jax.nn.relu(_conv(weights, "conv32_down", x, stride=2))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")
    for name in _MIDDLE_BLOCKS:
        x = _block(weights, name, x)
    middle = x
    for name in _LAST_BLOCKS:
        x = _block(weights, name, x)
    return jnp.mean(x, axis=(1, 2)) @ weights["fc"], middle


def _conv(weights: Weights, name: str, x: Array, stride: int) -> Array:
    """Convolution (padded only where it does not stride), then a scale and shift per channel."""
    x = lax.conv_general_dilated(
        x,
        weights[f"{name}/conv/filters"],
        (stride, stride),
        "SAME" if stride == 1 else "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    scale, shift = weights[f"{name}/scale/weights"], weights[f"{name}/scale/biases"]
    return (x + weights[f"{name}/conv/bias"][None, None, None]) * scale[None, None, None] + (
        shift[None, None, None]
    )


def _block(weights: Weights, name: str, x: Array) -> Array:
    stride = 2 if "_down" in name else 1
    y = jax.nn.relu(_conv(weights, f"{name}/conv1", x, stride))
    y = _conv(weights, f"{name}/conv2", y, 1)
    if stride == 2:
        x = lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
    shape = [max(a, b) for a, b in zip(x.shape, y.shape, strict=True)]
    return jax.nn.relu(_grow(x, shape) + _grow(y, shape))


def _grow(x: Array, shape: list[int]) -> Array:
    return jnp.pad(x, [(0, b - a) for a, b in zip(x.shape, shape, strict=True)])

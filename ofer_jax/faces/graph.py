"""Runs a small convolutional network that is stored as data: a list of operators and its weights.

BlazeFace and FaceMesh (Bazarevsky et al. 2019, arXiv 1907.05047; Kartynnik et al. 2019, arXiv
1907.06724) are chains of convolutions, depthwise convolutions, PReLU or ReLU, pooling and sums.
Their TFLite files were turned into an operator list by `data_pipelines.openhead.weights`; this
module walks it. Layout NHWC, kernels [H, W, I, O], depthwise kernels [H, W, C]; TFLite's SAME is
XLA's.

Weights are an argument of the jitted function, the operator list (hashable text) is static.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

Weights = dict[str, Array]
_NHWC = ("NHWC", "HWIO", "NHWC")


def split(stored: dict[str, np.ndarray]) -> tuple[str, dict[str, np.ndarray]]:
    """Operator list (JSON text) and float32 weights of a stored network."""
    text = str(stored["graph"])
    names = {name for node in json.loads(text)["nodes"] for name in node["weights"]}
    return text, {name: stored[name].astype(np.float32) for name in sorted(names)}


@partial(jax.jit, static_argnums=0)
def apply(graph: str, weights: Weights, x: Float[Array, "B H W C"]) -> list[Array]:
    """The network's outputs, in the order of its file, for a batch of inputs (float32)."""
    plan = json.loads(graph)
    values: dict[int, Array] = {plan["input"]: x}
    for node in plan["nodes"]:
        inputs = [values[i] for i in node["in"]] + [weights[name] for name in node["weights"]]
        values[node["out"]] = _OPERATORS[node["op"]](node, *inputs)
    return [values[i] for i in plan["outputs"]]


def _conv(node: dict[str, Any], x: Array, kernel: Array, bias: Array) -> Array:
    strides = (node["stride"],) * 2
    y = lax.conv_general_dilated(x, kernel, strides, node["padding"], dimension_numbers=_NHWC)
    return y + bias[None, None, None]


def _depthwise(node: dict[str, Any], x: Array, kernel: Array, bias: Array) -> Array:
    """Sum over shifted pictures: five times faster on a CPU than XLA's grouped convolution."""
    taps = _taps(x, kernel.shape[:2], node["stride"], node["padding"], 0.0)
    y = bias[None, None, None]
    for tap, weight in zip(taps, kernel.reshape(-1, kernel.shape[-1]), strict=True):
        y = y + tap * weight[None, None, None]
    return y


def _max_pool(node: dict[str, Any], x: Array) -> Array:
    return reduce(jnp.maximum, _taps(x, node["size"], node["stride"], node["padding"], -jnp.inf))


def _taps(
    x: Array, window: Sequence[int], stride: int, padding: str, fill: float
) -> Iterator[Array]:
    """For each place in a sliding window, the values it meets: arrays of the output's size.

    (XLA's own `reduce_window` once gave wrong maxima here, fused after a grouped convolution.)
    """
    pads = lax.padtype_to_pads(x.shape[1:3], window, (stride, stride), padding)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    spans = [n - k + 1 for n, k in zip(x.shape[1:3], window, strict=True)]
    for i in range(window[0]):
        for j in range(window[1]):
            yield x[:, i : i + spans[0] : stride, j : j + spans[1] : stride]


def _prelu(node: dict[str, Any], x: Array, slope: Array) -> Array:
    return jnp.maximum(x, 0) + slope[None, None, None] * jnp.minimum(x, 0)


_OPERATORS = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "MAX_POOL_2D": _max_pool,
    "PRELU": _prelu,
    "RELU": lambda node, x: jnp.maximum(x, 0),
    "ADD": lambda node, x, y: x + y,
    "PAD": lambda node, x: jnp.pad(x, node["pads"]),
    "RESHAPE": lambda node, x: x.reshape(x.shape[0], *node["shape"][1:]),
    "CONCATENATION": lambda node, *xs: jnp.concatenate(xs, axis=1),
}

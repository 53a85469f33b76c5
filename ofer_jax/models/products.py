"""Products with kernels in bfloat16, for inference: rounded for it, added up in float32.

A layer whose kernel is bfloat16 while its input is float32 rounds the input too, multiplies, adds
up in float32 and gives float32 back; all else of a network stays float32. A CPU with AMX does such
a product five times as fast as float32's, and a convolution as a sum of them twice as fast. (A
product whose *result* is bfloat16, as in training with a `dtype`, gains nothing there.)

Which kernels: those that meet many rows a picture. A product with one row only reads its kernel,
and XLA does it slowly in bfloat16; there float32 stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.linen import dtypes

from ofer_jax import trees
from ofer_jax.arrays import Array, Float

DTYPES = ("float32", "bfloat16")
_ONE_ROW = re.compile(
    r"(.*/)?(fc|proj|mean_\d|scale_\d|shift_\d|time_\w+|context_modulation|mlp|regressor)/.*"
)
_LEAST = 8  # rows and columns of a kernel worth it


def narrow(params: Any) -> Any:
    """Networks' `params` (NumPy arrays), their kernels that meet many rows in bfloat16."""

    def cast(name: str, value: np.ndarray) -> np.ndarray:
        is_kernel = re.fullmatch(r"(.*/)?(kernel|out)", name) and min(value.shape[-2:]) >= _LEAST
        return value.astype(jnp.bfloat16) if is_kernel and not _ONE_ROW.match(name) else value

    return trees.map_named(cast, params)


def promote(x: Array, kernel: Array, *rest: Array | None, dtype: Any = None) -> list[Any]:
    """Linen's rule, all to `dtype` or to their common type; but kernels in bfloat16 stay so."""
    if dtype is None and kernel.dtype == jnp.bfloat16:
        return [x, kernel, *rest]
    return dtypes.promote_dtype(x, kernel, *rest, dtype=dtype)


def dot_general(x: Array, kernel: Array, dimensions: Any, precision: Any = None) -> Array:
    """`lax.dot_general` in the kernel's type; sums and result are of x's."""
    return jax.lax.dot_general(
        x.astype(kernel.dtype),
        kernel,
        dimensions,
        precision=precision,
        preferred_element_type=x.dtype,
    )


def matmul(x: Float[Array, "*B C"], kernel: Float[Array, "C O"]) -> Float[Array, "*B O"]:
    """x @ kernel, as `dot_general`."""
    return dot_general(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))


def convolution(
    x: Float[Array, "B H W C"],
    kernel: Float[Array, "k k C O"],
    strides: tuple[int, int],
    padding: Any,
    **settings: Any,
) -> Float[Array, "B h w O"]:
    """`lax.conv_general_dilated` in the kernel's type, the result of x's. On a CPU, whose
    convolutions are slow in a narrow type, as a sum of matrix products."""

    def native(x: Array, kernel: Array) -> Array:
        narrow = x.astype(kernel.dtype)
        out = jax.lax.conv_general_dilated(narrow, kernel, strides, padding, **settings)
        return out.astype(x.dtype)

    def by_rows(x: Array, kernel: Array) -> Array:
        return _row_products(x, kernel, strides, padding)

    if x.dtype == kernel.dtype:
        return native(x, kernel)
    return jax.lax.platform_dependent(x, kernel, cpu=by_rows, default=native)


def _row_products(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k l C O"], strides: Any, padding: Any
) -> Float[Array, "B h w O"]:
    """A matrix product for each row of the kernel, of the places that it covers side by side; or
    one for all rows, where the picture is smaller than the kernel.

    What only moves numbers sees them as integers: XLA's CPU compiler would widen bfloat16 for it.
    """
    padded = jnp.pad(_bits(x.astype(kernel.dtype)), ((0, 0), *padding, (0, 0)))
    (high, across), (channels, out) = kernel.shape[:2], kernel.shape[2:]
    rows, columns = (n - k + 1 for n, k in zip(padded.shape[1:3], (high, across), strict=True))
    beside = _joined([padded[:, :, j : j + columns : strides[1]] for j in range(across)])
    parts = [beside[:, i : i + rows : strides[0]] for i in range(high)]
    kernels = _bits(kernel).reshape(high, across * channels, out)
    if rows * columns < channels:
        parts, kernels = [_joined(parts)], kernels.reshape(1, -1, out)
    products = (
        jax.lax.dot_general(
            jax.lax.bitcast_convert_type(part, kernel.dtype),
            jax.lax.bitcast_convert_type(kernels[i], kernel.dtype),
            (((3,), (0,)), ((), ())),
            preferred_element_type=x.dtype,
        )
        for i, part in enumerate(parts)
    )
    return sum(products, start=jnp.zeros((), x.dtype))


def _bits(x: Array) -> Array:
    return jax.lax.bitcast_convert_type(x, jnp.uint16)


def _joined(parts: Sequence[Array]) -> Array:
    return jnp.concatenate(parts, axis=-1)

"""Rotations: axis-angle to matrix and back, differentiable everywhere (also at zero).

Rodrigues' formula, with K the cross-product matrix of the axis-angle vector r and theta = |r|:

    R = I + sin(theta)/theta K + (1 - cos(theta))/theta^2 K^2

The way back goes through the unit quaternion q = (w, x, y, z): the entries of 4 q q^T are sums of
entries of R, and its row with the largest diagonal entry is q up to scale (Shepperd 1978).
"""

from __future__ import annotations

import jax.numpy as jnp

from ofer_jax.arrays import Array, Float

_SMALL = 1e-8  # of theta^2: below it the Taylor series is exact in float32 and has a gradient


def rodrigues(axis_angle: Float[Array, "*B 3"]) -> Float[Array, "*B 3 3"]:
    """Axis-angle vectors (radians) to rotation matrices."""
    squared = jnp.sum(axis_angle * axis_angle, axis=-1)
    small = squared < _SMALL
    theta = jnp.sqrt(jnp.where(small, 1.0, squared))
    half = jnp.sin(0.5 * theta) / (0.5 * theta)  # 2 sin^2(theta/2) = 1 - cos, without cancellation
    a = jnp.where(small, 1.0 - squared / 6.0, jnp.sin(theta) / theta)
    b = jnp.where(small, 0.5 - squared / 24.0, 0.5 * half * half)
    k = _cross_matrix(axis_angle)
    eye = jnp.broadcast_to(jnp.eye(3, dtype=k.dtype), k.shape)
    return eye + a[..., None, None] * k + b[..., None, None] * _matmul3(k, k)


def matrix_to_axis_angle(matrix: Float[Array, "*B 3 3"]) -> Float[Array, "*B 3"]:
    """Rotation matrices to axis-angle vectors (radians) of length 0 to pi."""
    q = _quaternion(matrix)
    w, xyz = q[..., :1], q[..., 1:]
    squared = jnp.sum(xyz * xyz, axis=-1, keepdims=True)
    small = squared < _SMALL
    sine = jnp.sqrt(jnp.where(small, 1.0, squared))  # of half the angle
    factor = jnp.where(small, 2.0 + squared / 3.0, 2.0 * jnp.arctan2(sine, w) / sine)
    return factor * xyz


def _quaternion(matrix: Float[Array, "*B 3 3"]) -> Float[Array, "*B 4"]:
    (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = (
        tuple(matrix[..., i, j] for j in range(3)) for i in range(3)
    )
    wx, wy, wz = r21 - r12, r02 - r20, r10 - r01
    xy, xz, yz = r10 + r01, r20 + r02, r21 + r12
    diagonal = (1 + r00 + r11 + r22, 1 + r00 - r11 - r22, 1 - r00 + r11 - r22, 1 - r00 - r11 + r22)
    ww, xx, yy, zz = diagonal
    rows = ((ww, wx, wy, wz), (wx, xx, xy, xz), (wy, xy, yy, yz), (wz, xz, yz, zz))
    outer = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)  # 4 q q^T
    best = jnp.argmax(jnp.stack(diagonal, axis=-1), axis=-1)
    q = jnp.take_along_axis(outer, best[..., None, None], axis=-2)[..., 0, :]
    q = q / jnp.sqrt(jnp.sum(q * q, axis=-1, keepdims=True))
    return jnp.where(q[..., :1] < 0, -q, q)


def _cross_matrix(r: Float[Array, "*B 3"]) -> Float[Array, "*B 3 3"]:
    x, y, z = r[..., 0], r[..., 1], r[..., 2]
    zero = jnp.zeros_like(x)
    rows = ((zero, -z, y), (z, zero, -x), (-y, x, zero))
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def _matmul3(a: Float[Array, "*B 3 3"], b: Float[Array, "*B 3 3"]) -> Float[Array, "*B 3 3"]:
    return jnp.matmul(a, b, precision="highest")

"""Landmarks as points of the surface: a triangle and barycentric coordinates for each.

The contour of a turned head lies elsewhere on the surface, so its 17 points are looked up by the
yaw of the head, in whole degrees from -39 to 39:

    R = R_root R_neck;  yaw = atan2(-R[2, 0], sqrt(R[0, 0]^2 + R[1, 0]^2))
    row = yaw if yaw >= 0 else 39 - yaw          (rows 40 to 78 are the negative yaws)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float, Int
from ofer_jax.flame.model import FlameModel
from ofer_jax.flame.rotations import rodrigues

_MAX_YAW = 39


@jax.jit
def landmarks(model: FlameModel, vertices: Float[Array, "B V 3"]) -> Float[Array, "B 68 3"]:
    """The 68 landmarks (iBUG's order, subject's right to left) at fixed places of the surface.

        head = flame.load("flame/")
        points = flame.landmarks(head, flame.vertices(head))  # [1, 68, 3], metres

    Args:
      model: the head, read with its landmarks (FLAME's `landmark_embedding.npy`).
      vertices: of it, in any unit, which is the points' too.

    Raises:
      ValueError: if the model was read without landmarks.
    """
    _check_present(model)
    batch = vertices.shape[0]
    index, bary = model.full_lmk_faces_idx, model.full_lmk_bary_coords
    return surface_points(
        model.faces,
        vertices,
        jnp.broadcast_to(index[None], (batch, *index.shape)),
        jnp.broadcast_to(bary[None], (batch, *bary.shape)),
    )


@jax.jit
def contour_landmarks(
    model: FlameModel,
    vertices: Float[Array, "B V 3"],
    global_rotation: Float[Array, "B 3"] | None = None,
    neck: Float[Array, "B 3"] | None = None,
) -> Float[Array, "B 68 3"]:
    """17 contour points chosen by the head's yaw, then the 51 fixed ones (metres).

    The rotations are those `vertices` was posed with (axis-angle, radians; left out: zero). The
    choice of the contour has no gradient; the points have one with respect to the vertices.
    """
    _check_present(model)
    batch = vertices.shape[0]
    row = _contour_row(_rotation(global_rotation, vertices), _rotation(neck, vertices))
    fixed_index, fixed_bary = model.lmk_faces_idx, model.lmk_bary_coords
    index = jnp.broadcast_to(fixed_index[None], (batch, *fixed_index.shape))
    bary = jnp.broadcast_to(fixed_bary[None], (batch, *fixed_bary.shape))
    index = jnp.concatenate([model.dynamic_lmk_faces_idx[row], index], axis=1)
    bary = jnp.concatenate([model.dynamic_lmk_bary_coords[row], bary], axis=1)
    return surface_points(model.faces, vertices, index, bary)


def surface_points(
    faces: Int[Array, "F 3"],
    vertices: Float[Array, "B V 3"],
    index: Int[Array, "B L"],
    bary: Float[Array, "B L 3"],
) -> Float[Array, "B L 3"]:
    """Points of the surface, in the vertices' unit."""
    corners = faces[index]  # [B, L, 3]
    points = jax.vmap(lambda v, c: v[c])(vertices, corners)  # [B, L, 3 corners, 3]
    return jnp.sum(points * bary[..., None], axis=2)


def _check_present(model: FlameModel) -> None:
    if not model.full_lmk_faces_idx.shape[0]:
        raise ValueError(
            f"the head model {model.name!r} was read without landmarks; pass FLAME's "
            "landmark_embedding.npy: flame.load(path, landmarks=...)"
        )


def _rotation(axis_angle: Array | None, like: Float[Array, "B V 3"]) -> Float[Array, "B 3 3"]:
    value = jnp.zeros((1, 3)) if axis_angle is None else axis_angle
    if value.ndim != 2 or value.shape[1] != 3 or value.shape[0] not in (1, like.shape[0]):
        raise ValueError(f"a rotation must be [{like.shape[0]}, 3]; its shape is {value.shape}")
    value = jnp.broadcast_to(value.astype(like.dtype), (like.shape[0], 3))
    return rodrigues(jax.lax.stop_gradient(value))


def _contour_row(root: Float[Array, "B 3 3"], neck: Float[Array, "B 3 3"]) -> Int[Array, "B"]:
    r = jnp.matmul(root, neck, precision="highest")
    yaw = jnp.arctan2(-r[:, 2, 0], jnp.sqrt(r[:, 0, 0] ** 2 + r[:, 1, 0] ** 2))
    degrees = jnp.round(yaw * (180 / jnp.pi)).astype(jnp.int32)
    degrees = jnp.clip(degrees, -_MAX_YAW, _MAX_YAW)
    return jnp.where(degrees < 0, _MAX_YAW - degrees, degrees)

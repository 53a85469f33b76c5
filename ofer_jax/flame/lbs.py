"""Coefficients to vertices: linear bases, then linear blend skinning.

    v_shaped = v_template + shapedirs shape + exprdirs expression
    joints   = J_regressor v_shaped
    v_posed  = v_shaped + posedirs vec(R_1 - I, ..., R_4 - I)
    v        = sum_j lbs_weights_j (G_j v_posed + g_j)

with (G_j, g_j) the rigid motion of joint j: the rotations of its chain of parents, each about its
own joint. Loper et al., "SMPL", SIGGRAPH Asia 2015; Li et al., "FLAME", SIGGRAPH Asia 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add

import jax
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float
from ofer_jax.flame.model import FlameModel
from ofer_jax.flame.rotations import rodrigues

_PRECISION = "highest"  # a GPU's or TPU's default float32 product is off by more than a micron


@jax.jit
def vertices(
    model: FlameModel,
    *,
    shape: Float[Array, "B s"] | None = None,
    expression: Float[Array, "B e"] | None = None,
    global_rotation: Float[Array, "B 3"] | None = None,
    neck: Float[Array, "B 3"] | None = None,
    jaw: Float[Array, "B 3"] | None = None,
    eyes: Float[Array, "B 6"] | None = None,
) -> Float[Array, "B V 3"]:
    """Vertices (metres) of a batch of heads; the equations stand at the top of this file.

        head = flame.load("flame/")
        smile = flame.vertices(head, expression=jnp.array([[2.0, 0.5]]))  # [1, 5023, 3], metres

    Anything left out is zero; coefficient vectors may be shorter than the model's (the rest is
    zero) and a batch of 1 goes with any other; with nothing given, B is 1. Differentiable
    everywhere.

    Args:
      model: the head; pass it as an argument to what you jit.
      shape, expression: coefficients [B, at most S] and [B, at most E], in standard deviations.
      global_rotation, neck, jaw: rotations [B, 3], axis-angle, radians, each about its own joint.
      eyes: of the left, then of the right eye [B, 6].

    Raises:
      ValueError: if a batch, a coefficient vector or a rotation has the wrong size.
    """
    inputs = {"shape": shape, "expression": expression}
    rotations = {"global_rotation": global_rotation, "neck": neck, "jaw": jaw, "eyes": eyes}
    sizes = {"shape": model.num_shape, "expression": model.num_expression, "eyes": 6}
    batch = _batch_size(inputs | rotations, sizes)
    shaped = _shaped(model, shape, expression, batch)
    if all(value is None for value in rotations.values()):
        return shaped
    pose = _pose(rotations, batch, shaped.dtype)
    return _skin(model, shaped, rodrigues(pose))


def vertices_over(model: FlameModel, **values: Float[Array, "*B n"]) -> Float[Array, "*B V 3"]:
    """`vertices` over any leading axes, the same ones of all `values` (named as there)."""
    lead = next(iter(values.values())).shape[:-1]
    flat = {name: value.reshape(-1, value.shape[-1]) for name, value in values.items()}
    out = vertices(model, **flat)
    return out.reshape(*lead, *out.shape[1:])


def joints(model: FlameModel, shaped: Float[Array, "B V 3"]) -> Float[Array, "B J 3"]:
    """Joint positions (metres) of unposed vertices."""
    return jnp.einsum("jv,bvc->bjc", model.J_regressor, shaped, precision=_PRECISION)


def _batch_size(values: Mapping[str, Array | None], sizes: Mapping[str, int]) -> int:
    batch = 1
    for name, value in values.items():
        if value is None:
            continue
        size = sizes.get(name, 3)
        padded = name in ("shape", "expression")
        if value.ndim != 2 or value.shape[1] > size or (value.shape[1] < size and not padded):
            wanted = f"[B, {'at most ' if padded else ''}{size}]"
            raise ValueError(f"{name} must be {wanted}; its shape is {value.shape}")
        if value.shape[0] not in (1, batch) and batch != 1:
            shapes = {k: v.shape for k, v in values.items() if v is not None}
            raise ValueError(f"the inputs differ in batch size: {shapes}")
        batch = value.shape[0] if value.shape[0] != 1 else batch
    return batch


def _shaped(
    model: FlameModel, shape: Array | None, expression: Array | None, batch: int
) -> Float[Array, "B V 3"]:
    """The template plus both bases: one matrix product each, none for what is left out."""
    out = jnp.broadcast_to(model.v_template[None], (batch, *model.v_template.shape))
    for basis, value in ((model.shapedirs, shape), (model.exprdirs, expression)):
        if value is not None:
            offset = _product(basis[..., : value.shape[1]], value.astype(out.dtype))
            out = out + jnp.broadcast_to(offset, out.shape)
    return out


def _product(basis: Float[Array, "V 3 n"], value: Float[Array, "B n"]) -> Float[Array, "B V 3"]:
    flat = basis.reshape(-1, basis.shape[-1])
    out = jnp.matmul(value, flat.T, precision=_PRECISION)
    return out.reshape(value.shape[0], *basis.shape[:2])  # no -1: a batch may be empty


def _pose(rotations: Mapping[str, Array | None], batch: int, dtype: jnp.dtype) -> Array:
    """All joints' axis-angle vectors, [B, J, 3], in the order of the joints."""
    parts = []
    for name, value in rotations.items():
        width = 6 if name == "eyes" else 3
        filled = jnp.zeros((1, width)) if value is None else value
        parts.append(jnp.broadcast_to(filled.astype(dtype), (batch, width)))
    return jnp.concatenate(parts, axis=1).reshape(batch, -1, 3)


def _skin(
    model: FlameModel, shaped: Float[Array, "B V 3"], rotation: Float[Array, "B J 3 3"]
) -> Float[Array, "B V 3"]:
    batch = shaped.shape[0]
    eye = jnp.broadcast_to(jnp.eye(3, dtype=shaped.dtype), rotation[:, 1:].shape)
    posed = shaped + _product(model.posedirs, (rotation[:, 1:] - eye).reshape(batch, -1))
    turn, shift = chain(model.parents, rotation, joints(model, shaped))
    motion = jnp.concatenate([turn, shift[..., None]], axis=-1)  # [B, J, 3, 4]
    return _blend(model.lbs_weights, motion, posed)


def _blend(
    weights: Float[Array, "V J"], motion: Float[Array, "B J 3 4"], posed: Float[Array, "B V 3"]
) -> Float[Array, "B V 3"]:
    """Moves each vertex by its weighted motion.

    Written out over the joints and entries: XLA fuses it into one loop over the vertices, 25 times
    faster on a CPU than an einsum, which writes 12 numbers a vertex to memory.
    """
    column = [weights[None, :, j] for j in range(weights.shape[1])]

    def entry(r: int, c: int) -> Float[Array, "B V"]:
        return reduce(add, (w * motion[:, j, r, c, None] for j, w in enumerate(column)))

    rows = [
        sum(entry(r, c) * posed[..., c] for c in range(3)) + entry(r, 3)  # R x + shift
        for r in range(3)
    ]
    return jnp.stack(rows, axis=-1)


def chain(
    parents: tuple[int, ...], rotation: Float[Array, "B J 3 3"], joint: Float[Array, "B J 3"]
) -> tuple[Float[Array, "B J 3 3"], Float[Array, "B J 3"]]:
    """Each joint's motion x -> turn x + shift of the unposed space, parents before children."""
    turns: list[Array] = []
    shifts: list[Array] = []
    for j, parent in enumerate(parents):
        local = rotation[:, j]
        about = joint[:, j] - _apply(local, joint[:, j])  # R (x - joint) + joint
        if parent < 0:
            turns.append(local)
            shifts.append(about)
        else:
            turns.append(jnp.matmul(turns[parent], local, precision=_PRECISION))
            shifts.append(_apply(turns[parent], about) + shifts[parent])
    return jnp.stack(turns, axis=1), jnp.stack(shifts, axis=1)


def _apply(matrix: Float[Array, "B 3 3"], vector: Float[Array, "B 3"]) -> Float[Array, "B 3"]:
    return jnp.sum(matrix * vector[:, None, :], axis=-1)

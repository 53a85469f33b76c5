"""Coefficients to vertices: linear bases, then linear blend skinning.

    v_shaped = v_template + shapedirs shape + exprdirs expression
    joints   = J_regressor v_shaped
    v_posed  = v_shaped + posedirs vec(R_1 - I, ..., R_4 - I)
    v        = sum_j lbs_weights_j (G_j v_posed + g_j)

with (G_j, g_j) the rigid motion of joint j: the rotations of its chain of parents, each about its
own joint. Loper et al., "SMPL", SIGGRAPH Asia 2015; Li et al., "FLAME", SIGGRAPH Asia 2017.

All that is added to the template is one product with the bases side by side, where the model has
them so. Its part that bends with the pose is then taken off again where the joints are:
J_regressor v_shaped = J_regressor v_posed - (J_regressor posedirs) vec(...).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    parts = [(model.shapedirs, shape), (model.exprdirs, expression)]
    if all(value is None for value in rotations.values()):
        return model.v_template[None] + _offset(model, parts, batch)
    rotation = rodrigues(_pose(rotations, batch, model.v_template.dtype))
    eye = jnp.broadcast_to(jnp.eye(3, dtype=rotation.dtype), rotation[:, 1:].shape)
    bend = (rotation[:, 1:] - eye).reshape(batch, -1)
    offset = _offset(model, [*parts, (model.posedirs, bend)], batch)
    motion = chain(model.parents, rotation, _joints_at_rest(model, offset, bend))
    return _blend(model.lbs_weights, *motion, model.v_template[None] + offset)


def vertices_over(model: FlameModel, **values: Float[Array, "*B n"]) -> Float[Array, "*B V 3"]:
    """`vertices` over any leading axes, the same ones of all `values` (named as there)."""
    lead = next(iter(values.values())).shape[:-1]
    flat = {name: value.reshape(-1, value.shape[-1]) for name, value in values.items()}
    out = vertices(model, **flat)
    return out.reshape(*lead, *out.shape[1:])


def joints(model: FlameModel, shaped: Float[Array, "B V 3"]) -> Float[Array, "B J 3"]:
    """Joint positions (metres) of unposed vertices."""
    # As one product with [3V, 3J]: XLA would turn all vertices about for an einsum.
    eye = jnp.eye(3, dtype=shaped.dtype)
    spread = model.J_regressor.T[:, None, :, None] * eye[None, :, None, :]
    batch, (count, vertices) = shaped.shape[0], model.J_regressor.shape
    flat = shaped.reshape(batch, 3 * vertices)
    out = jnp.matmul(flat, spread.reshape(3 * vertices, 3 * count), precision=_PRECISION)
    return out.reshape(batch, count, 3)


def _joints_at_rest(
    model: FlameModel, offset: Float[Array, "B V 3"], bend: Float[Array, "B P"]
) -> Float[Array, "B J 3"]:
    """Joints of the shaped head, from what is added to the template for shape and pose."""
    of_bend = _einsum("jv,vcp->jcp", model.J_regressor, model.posedirs)
    moved = joints(model, offset) - _einsum("bp,jcp->bjc", bend, of_bend)
    return joints(model, model.v_template[None]) + moved


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


def _offset(
    model: FlameModel, parts: Sequence[tuple[Array, Array | None]], batch: int
) -> Float[Array, "B V 3"]:
    """The sum of bases times coefficients [B or 1, n]; those that are None are left out.

    One product with all bases if that is hardly more work than one with each that is asked for.
    """
    dtype, shape = model.v_template.dtype, (batch, *model.v_template.shape)
    given = [(basis, value.astype(dtype)) for basis, value in parts if value is not None]
    wide = sum(value.shape[1] for _, value in given if value.shape[0] == batch)
    if model.bases is not None and len(given) > 1 and 4 * wide > 3 * model.bases.shape[-1]:
        given = [(model.bases, _side_by_side(parts, batch, dtype))]
    products = [_product(basis[..., : value.shape[1]], value) for basis, value in given]
    return reduce(add, (jnp.broadcast_to(p, shape) for p in products), jnp.zeros(shape, dtype))


def _side_by_side(
    parts: Sequence[tuple[Array, Array | None]], batch: int, dtype: jnp.dtype
) -> Float[Array, "B n"]:
    """The coefficients as a row for each of the batch, filled with zeros."""
    rows = []
    for basis, value in parts:
        value = jnp.zeros((1, 0), dtype) if value is None else value.astype(dtype)
        lacking = basis.shape[-1] - value.shape[1]
        row = jnp.pad(value, ((0, 0), (0, lacking)))
        rows.append(jnp.broadcast_to(row, (batch, basis.shape[-1])))
    return jnp.concatenate(rows, axis=1)


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


def _blend(
    weights: Float[Array, "V J"],
    turn: Float[Array, "B J 3 3"],
    shift: Float[Array, "B J 3"],
    posed: Float[Array, "B V 3"],
) -> Float[Array, "B V 3"]:
    """Moves each vertex by its weighted motion: sum_c (sum_j w_j turn_j[:, c]) x_c + its shift.

    Written out over the joints and columns: XLA fuses it into one loop over the coordinates as they
    lie in memory, some 50 times faster on a CPU than an einsum, which writes 12 numbers a vertex.
    """
    width = range(weights.shape[1])

    def mean(vector: Float[Array, "B J 3"]) -> Float[Array, "B V 3"]:
        return reduce(add, (weights[None, :, j, None] * vector[:, None, j] for j in width))

    turned = [mean(turn[..., c]) * posed[..., c : c + 1] for c in range(3)]
    return reduce(add, turned) + mean(shift)


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


def _einsum(subscripts: str, *operands: Array) -> Array:
    return jnp.einsum(subscripts, *operands, precision=_PRECISION)


def _apply(matrix: Float[Array, "B 3 3"], vector: Float[Array, "B 3"]) -> Float[Array, "B 3"]:
    return jnp.sum(matrix * vector[:, None, :], axis=-1)

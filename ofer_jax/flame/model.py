"""FLAME's data: a frozen pytree that is passed to functions as an argument.

It holds 24 MB for the full model, so never close over it in a jitted function: it would be copied
into the compiled program as constants. Layout of Li et al., "Learning a model of facial shape and
expression from 4D scans", SIGGRAPH Asia 2017.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ofer_jax.arrays import Array, Float, Int

PARENTS = (-1, 0, 1, 1, 1)  # root, neck, jaw, left eye, right eye


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True)
class FlameModel:
    """A parametric head (float32, metres): template, bases, joints, skinning and landmarks.

    The 51 inner landmarks are fixed on the surface; the 17 of the contour come from a table with a
    row for each degree of yaw (`dynamic_*`), or stand fixed within the 68 of `full_*`.

    `name` is the file's, `sha256` the hash of the file it was first read from, `release` which
    FLAME it is ('FLAME 2020', 'FLAME 2023 Open', ...; '' if nobody told).

    `bases`, which `flame.load` makes (`with_bases`), holds the three bases once more, side by side:
    one product with it takes the place of three, at half the time. `dataclasses.replace` leaves it
    out, so it never contradicts the others; without it all works too.
    """

    v_template: Float[Array, "V 3"]
    shapedirs: Float[Array, "V 3 S"]
    exprdirs: Float[Array, "V 3 E"]
    posedirs: Float[Array, "V 3 P"]
    J_regressor: Float[Array, "J V"]
    lbs_weights: Float[Array, "V J"]
    faces: Int[Array, "F 3"]
    lmk_faces_idx: Int[Array, "51"]
    lmk_bary_coords: Float[Array, "51 3"]
    full_lmk_faces_idx: Int[Array, "68"]
    full_lmk_bary_coords: Float[Array, "68 3"]
    dynamic_lmk_faces_idx: Int[Array, "79 17"]
    dynamic_lmk_bary_coords: Float[Array, "79 17 3"]
    parents: tuple[int, ...] = dataclasses.field(default=PARENTS, metadata={"static": True})
    name: str = dataclasses.field(default="", metadata={"static": True})
    sha256: str = dataclasses.field(default="", metadata={"static": True})
    release: str = dataclasses.field(default="", metadata={"static": True})
    bases: Float[Array, "V 3 S+E+P"] | None = dataclasses.field(default=None, init=False)

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        """The arrays with their names, and the rest."""
        data, static = _fields()
        key = jax.tree_util.GetAttrKey
        arrays = [(key(name), getattr(self, name)) for name in data]
        return arrays, tuple(getattr(self, name) for name in static)

    @classmethod
    def tree_unflatten(cls, static: tuple[Any, ...], arrays: list[Any]) -> FlameModel:
        """The way back."""
        values = zip(sum(_fields(), ()), (*arrays, *static), strict=True)
        return _set(object.__new__(cls), dict(values))

    @property
    def identity(self) -> dict[str, str]:
        """What a record says of the head that it is bound to: name, sha256 and release."""
        return {"name": self.name, "sha256": self.sha256, "release": self.release}

    @property
    def num_vertices(self) -> int:
        """V."""
        return self.v_template.shape[0]

    @property
    def num_shape(self) -> int:
        """S, the number of shape coefficients."""
        return self.shapedirs.shape[-1]

    @property
    def num_expression(self) -> int:
        """E, the number of expression coefficients."""
        return self.exprdirs.shape[-1]


def with_bases(model: FlameModel) -> FlameModel:
    """The model with its `bases` (of NumPy), which take as much memory as what they are made of."""
    parts = [np.asarray(basis) for basis in (model.shapedirs, model.exprdirs, model.posedirs)]
    return _set(dataclasses.replace(model), {"bases": np.concatenate(parts, axis=-1)})


def _set(model: FlameModel, values: Mapping[str, Any]) -> FlameModel:
    for name, value in values.items():
        object.__setattr__(model, name, value)  # of one just made, which is frozen afterwards
    return model


def _fields() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the arrays, and of what is static."""
    fields = dataclasses.fields(FlameModel)
    static = tuple(field.name for field in fields if field.metadata.get("static"))
    return tuple(field.name for field in fields if field.name not in static), static


def title(head: Mapping[str, str]) -> str:
    """A recorded head (its `identity`; older records lack the release) for a line of text."""
    name, release, start = head["name"], head.get("release", ""), head["sha256"][:12]
    about = start if release == name else f"{release or 'release not recorded'}, {start}"
    return f"{name!r} ({about})"

"""FLAME's data: a frozen pytree that is passed to functions as an argument.

It holds 24 MB for the full model, so never close over it in a jitted function: it would be copied
into the compiled program as constants. Layout of Li et al., "Learning a model of facial shape and
expression from 4D scans", SIGGRAPH Asia 2017.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax

from ofer_jax.arrays import Array, Float, Int

PARENTS = (-1, 0, 1, 1, 1)  # root, neck, jaw, left eye, right eye


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FlameModel:
    """A parametric head (float32, metres): template, bases, joints, skinning and landmarks.

    The 51 inner landmarks are fixed on the surface; the 17 of the contour come from a table with a
    row for each degree of yaw (`dynamic_*`), or stand fixed within the 68 of `full_*`.

    `name` is the file's, `sha256` the hash of the file it was first read from, `release` which
    FLAME it is ('FLAME 2020', 'FLAME 2023 Open', ...; '' if nobody told).
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


def title(head: Mapping[str, str]) -> str:
    """A recorded head (its `identity`; older records lack the release) for a line of text."""
    name, release, start = head["name"], head.get("release", ""), head["sha256"][:12]
    about = start if release == name else f"{release or 'release not recorded'}, {start}"
    return f"{name!r} ({about})"

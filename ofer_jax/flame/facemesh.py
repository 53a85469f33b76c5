"""Where FaceMesh's points lie among the 68 landmarks (iBUG's), by the usual table of indices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ofer_jax.flame.model import FlameModel

POINTS = 468
# FaceMesh index of each iBUG landmark.
CONTOUR = [127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356]
INNER = [
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
]  # fmt: skip


def known_points(model: FlameModel) -> dict[str, np.ndarray]:
    """FaceMesh's points on a head, as far as its landmarks tell; {} for one without landmarks.

    mesh_faces_idx [468] (int32) and mesh_bary_coords [468, 3] (float32): the place of each point;
    mesh_weight [468] (float32): 1 for the 51 inner landmarks, whose places are known, else 0. The
    contour is left out: it is no place of the surface, but the outline in a picture.
    """
    if not model.lmk_faces_idx.shape[0]:
        return {}
    index, bary = np.zeros(POINTS, np.int32), np.zeros((POINTS, 3), np.float32)
    weight = np.zeros(POINTS, np.float32)
    bary[:, 0] = 1
    index[INNER], bary[INNER] = model.lmk_faces_idx, model.lmk_bary_coords
    weight[INNER] = 1
    return {"mesh_faces_idx": index, "mesh_bary_coords": bary, "mesh_weight": weight}


def check(arrays: Mapping[str, np.ndarray], model: FlameModel) -> None:
    """Raises a ValueError if those of the three arrays that are there do not fit the head."""
    shapes = {
        "mesh_faces_idx": (POINTS,),
        "mesh_bary_coords": (POINTS, 3),
        "mesh_weight": (POINTS,),
    }
    for key in shapes.keys() & arrays.keys():
        value, most = arrays[key], len(model.faces) - 1
        kinds = "iu" if key == "mesh_faces_idx" else "f"
        if value.shape != shapes[key] or value.dtype.kind not in kinds:
            raise ValueError(f"{key} has shape {value.shape} and type {value.dtype}")
        if not np.isfinite(value).all():
            raise ValueError(f"{key} holds values that are not finite")
        if kinds == "iu" and not 0 <= value.min() <= value.max() <= most:
            raise ValueError(f"{key} must lie in 0..{most}; found {value.min()}..{value.max()}")

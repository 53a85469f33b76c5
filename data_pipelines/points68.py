"""The 68 points of iBUG's order on a face, from whatever a detector tells of it."""

from functools import cache

import numpy as np

from ofer_jax import flame, openhead
from ofer_jax.faces import Face, align
from ofer_jax.faces.finder import CONFIRMED
from ofer_jax.flame import facemesh

OF_MESH = [*facemesh.CONTOUR, *facemesh.INNER]


def landmarks(face: Face) -> np.ndarray:
    """The points [68, 2] of a face, in pixels of its photograph.

    The detector's own, or FaceMesh's, or (a face of which only five points are known) those of the
    mean face: good enough to place an occluder by.
    """
    if np.isfinite(face.landmarks).all():
        return face.landmarks
    if face.presence >= CONFIRMED:
        return face.points[OF_MESH, :2]
    return of_five(face.five)


def of_five(five: np.ndarray) -> np.ndarray:
    """The mean face's points [68, 2], moved, turned and scaled onto five points [5, 2]."""
    return align.apply(align.umeyama(five_of(mean()), five), mean())


def five_of(points: np.ndarray) -> np.ndarray:
    """ArcFace's five points [5, 2] of the 68: eye middles, nose tip, mouth corners."""
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), *points[[30, 48, 54]]])


@cache
def mean() -> np.ndarray:
    """The open mean head's points [68, 2] from the front: millimetres, x right, y down."""
    head = flame.load(openhead.head_path())
    points = np.asarray(flame.landmarks(head, head.v_template[None]), np.float64)[0]
    return points[:, :2] * [1000.0, -1000.0]

"""The FLAME head: pure, jitted functions of a frozen pytree of arrays."""

from ofer_jax.flame import rotations
from ofer_jax.flame.io import load
from ofer_jax.flame.landmarks import contour_landmarks, landmarks, surface_points
from ofer_jax.flame.lbs import joints, vertices, vertices_over
from ofer_jax.flame.model import FlameModel, title
from ofer_jax.flame.regions import save, surface

__all__ = [
    "FlameModel",
    "contour_landmarks",
    "joints",
    "landmarks",
    "load",
    "rotations",
    "save",
    "surface",
    "surface_points",
    "title",
    "vertices",
    "vertices_over",
]

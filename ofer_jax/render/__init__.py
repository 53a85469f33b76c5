"""Z-buffer rasteriser, shading, colour maps and the pieces of contact sheets (NumPy)."""

from ofer_jax.render.colors import color_bar, colormap
from ofer_jax.render.normals import face_normals, vertex_normals
from ofer_jax.render.rasterize import Raster, interpolate, project, rasterize
from ofer_jax.render.shade import CLAY, over, shade
from ofer_jax.render.sheet import canvas, fit_tile, resize, tile

__all__ = [
    "CLAY",
    "Raster",
    "canvas",
    "color_bar",
    "colormap",
    "face_normals",
    "fit_tile",
    "interpolate",
    "over",
    "project",
    "rasterize",
    "resize",
    "shade",
    "tile",
    "vertex_normals",
]

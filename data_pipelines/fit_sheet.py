"""Some fits to look at: the mesh, the head fitted to it, and how far apart they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from data_pipelines import fits, npz, sets
from data_pipelines.sets import Mesh
from ofer_jax import flame, render
from ofer_jax.flame import FlameModel

SIDE, WORST = 230, 1.0  # pixels of a picture; millimetres at the end of the colours
_PAGE, _INK = (236, 234, 229), (60, 60, 64)


def draw(
    meshes: Sequence[Mesh], head: FlameModel, out: Path, unit: float, count: int
) -> UInt8[np.ndarray, "H W 3"]:
    """`count` fits evenly over all; the head is turned to the front.

    Args:
        meshes: as they were fitted.
        head: likewise.
        out: folder of the fits.
        unit: metres of a unit in the mesh files.
        count: how many.
    """
    fitted = [mesh for mesh in meshes if sets.fit_path(out, mesh).exists()]
    chosen = np.unique(np.linspace(0, len(fitted) - 1, count).round().astype(int))
    tiles = [_tile(fitted[i], head, sets.fit_path(out, fitted[i]), unit) for i in chosen]
    return render.tile(tiles, 2)


def vertices(head: FlameModel, path: Path) -> Float[np.ndarray, "V 3"]:
    """The head that a file of coefficients describes, metres."""
    row = npz.load(path)
    pose, names = row["pose"][None], ("global_rotation", "neck", "jaw", "eyes")
    parts = dict(zip(names, np.split(pose, (3, 6, 9), axis=1), strict=True))
    shape, expression = row["shape"][None], row["exp"][None]
    posed = flame.vertices(head, shape=shape, expression=expression, **parts)
    return np.asarray(posed)[0] + row["trans"]


def _tile(mesh: Mesh, head: FlameModel, path: Path, unit: float) -> UInt8[np.ndarray, "h w 3"]:
    target = fits.read(mesh.path)[0] * unit
    found, triangles = vertices(head, path), np.asarray(head.faces)
    off = 1e3 * np.linalg.norm(target - found, axis=1)
    root = npz.load(path, ("pose",))["pose"][:3]
    turn = np.asarray(flame.rotations.rodrigues(jnp.asarray(root)))
    middle = found.mean(0)
    views = [(each - middle) @ turn for each in (target, found)]
    scale = 0.9 * SIDE / np.ptp(views[1], axis=0)[:2].max()
    low, high = views[1][:, :2].min(0), views[1][:, :2].max(0)
    centre = (low + high) / 2
    camera = (scale, SIDE / 2 - scale * centre[0], SIDE / 2 + scale * centre[1])
    heat = render.colormap(off, "heat", low=0, high=WORST)
    shown = ((views[0], None), (views[1], None), (views[1], heat))
    row_of = [_picture(view, triangles, camera, colors) for view, colors in shown]
    image = Image.fromarray(np.concatenate([*row_of], 1))
    name = f"{mesh.subject} {mesh.sequence} {mesh.frame}: mesh, fit, distance 0 to {WORST:g} mm"
    label = f"{name} (mean {off.mean():.2f}, max {off.max():.2f})"
    ImageDraw.Draw(image).text((6, 4), label.encode("ascii", "replace").decode(), _INK)
    return np.asarray(image)


def _picture(view, triangles, camera, colors) -> UInt8[np.ndarray, "S S 3"]:
    drawn, coverage = render.shade(view, triangles, camera, (SIDE, SIDE), colors=colors)
    return render.over(render.canvas(SIDE, SIDE, _PAGE), drawn, coverage)

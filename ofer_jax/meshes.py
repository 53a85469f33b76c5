"""Mesh files of heads: PLY (binary), OBJ and GLB, in metres, y up, the face looking along +z.

Written by trimesh, vertices in the head model's order (nothing is merged or dropped, so index v in
a file is vertex v of the model), first to a temporary file beside the target, then renamed.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float, Int, Shaped, UInt8

FORMATS = ("ply", "obj", "glb")

# sRGB of the surface's materials: a plaster cast with a hint of life. Others are skin.
SKIN = (205, 190, 178)
_COLORS = {
    "lips": (186, 142, 134),
    "brow": (140, 122, 110),
    "brows": (140, 122, 110),
    "eye_white": (236, 234, 230),
    "iris": (92, 96, 98),
    "pupil": (40, 40, 42),
    "teeth": (228, 224, 214),
    "tongue": (176, 118, 114),
    "inner_mouth": (120, 76, 74),
    "scalp": (192, 179, 169),
}


def colors(
    surface: Mapping[str, np.ndarray], triangles: Int[np.ndarray, "F 3"], count: int
) -> UInt8[np.ndarray, "V 3"]:
    """A quiet colour [V, 3] for each vertex: the mean of its triangles' materials.

    Args:
        surface: with `material` [F] and `material_names`, as `openhead.surface()`; without them
            all is skin.
        triangles: of the head.
        count: V, of the head's vertices.
    """
    if "material" not in surface:
        return np.tile(np.uint8(SKIN), (count, 1))
    names = [str(name).replace(" ", "_") for name in surface["material_names"]]
    palette = np.array([_COLORS.get(name, SKIN) for name in names], np.float64)
    of_triangle = palette[surface["material"]]
    flat = triangles.ravel()
    number = np.maximum(np.bincount(flat, minlength=count), 1)
    total = [np.bincount(flat, np.repeat(of_triangle[:, c], 3), count) for c in range(3)]
    return np.rint(np.stack(total, 1) / number[:, None]).astype(np.uint8)


def write(
    path: str | Path,
    vertices: Float[np.ndarray, "V 3"],
    triangles: Int[np.ndarray, "F 3"],
    vertex_colors: Shaped[np.ndarray, "V 3"] | None = None,
) -> None:
    """Writes one mesh; the suffix says in which format.

    Args:
        path: ends in .ply, .obj or .glb; an existing file is replaced as a whole.
        vertices: metres.
        triangles: counter-clockwise from outside.
        vertex_colors: uint8 RGB, optional.

    Raises:
        ValueError: any other suffix, or numbers that are not finite.
        OSError: it cannot be written.
    """
    path = Path(path)
    kind = path.suffix[1:].lower()
    if kind not in FORMATS:
        raise ValueError(f"{path.name}: mesh formats are {', '.join(FORMATS)}")
    if not np.isfinite(vertices).all():
        raise ValueError(f"{path.name}: vertices hold numbers that are not finite")
    mesh = trimesh.Trimesh(
        np.asarray(vertices, np.float32), triangles, vertex_colors=vertex_colors, process=False
    )
    data = mesh.export(file_type=kind)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data.encode() if isinstance(data, str) else data)
    os.replace(part, path)

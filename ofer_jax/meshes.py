"""Mesh files of heads: PLY (binary), OBJ and GLB, in metres, y up, the face looking along +z.

Written by trimesh, vertices in the head model's order (nothing is merged or dropped, so index v in
a file is vertex v of the model); a file appears whole or not at all.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from ofer_jax import atomic

FORMATS = ("ply", "obj", "glb")

# sRGB of the surface's materials: a plaster cast with a hint of life. Others are skin.
SKIN = (230, 209, 193)
_COLORS = {
    "lips": (209, 157, 145),
    "eye": (240, 238, 234),
    "teeth": (232, 228, 218),
    "tongue": (186, 124, 118),
    "inner_mouth": (132, 78, 74),
}
_EYES = ("region_left_eye", "region_right_eye")
_IRIS, _IRIS_COSINE = (112, 98, 86), np.cos(0.28)  # the ring of vertices at the front


def colors(
    surface: Mapping[str, np.ndarray],
    triangles: Int[np.ndarray, "F 3"],
    vertices: Float[np.ndarray, "V 3"],
) -> UInt8[np.ndarray, "V 3"]:
    """A quiet colour for each vertex: the mean of its triangles' materials, and an iris.

    Args:
        surface: as `openhead.surface()`; what it lacks of `material`, `material_names` and the
            two eyes' regions is left out, down to plain skin.
        triangles: of the head.
        vertices: the head, looking straight ahead.
    """
    out = np.tile(np.array(SKIN, np.float64), (len(vertices), 1))
    if "material" in surface:
        palette = np.array([_COLORS.get(str(n), SKIN) for n in surface["material_names"]], float)
        flat, each = triangles.ravel(), np.repeat(palette[surface["material"]], 3, axis=0)
        number = np.bincount(flat, minlength=len(vertices))[:, None]
        total = [np.bincount(flat, each[:, c], len(vertices)) for c in range(3)]
        out = np.where(number > 0, np.stack(total, 1) / np.maximum(number, 1), out)
    for eye in (surface[name] for name in _EYES if name in surface):
        ray = vertices[eye] - vertices[eye].mean(0)
        front = ray[:, 2] > _IRIS_COSINE * np.linalg.norm(ray, axis=1)
        out[eye[front]] = _IRIS
    return np.rint(out).astype(np.uint8)


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
        vertex_colors: uint8 RGB, optional; OBJ has no place for them.

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
    import trimesh  # here: a third of a second that not everybody needs

    painted = None if kind == "obj" else vertex_colors
    mesh = trimesh.Trimesh(
        np.asarray(vertices, np.float32), triangles, vertex_colors=painted, process=False
    )
    data: Any = mesh.export(file_type=kind)  # str or bytes for these formats
    # Dozens of one face: not worth the time to have each on disk before the next.
    atomic.write_bytes(path, data.encode() if isinstance(data, str) else data, sync=False)

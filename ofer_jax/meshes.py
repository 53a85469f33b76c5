"""Mesh files of heads: PLY (binary), OBJ and GLB, in metres, y up, the face looking along +z.

Vertices in the head model's order (nothing is merged or dropped, so index v in a file is vertex v
of the model); a file appears whole or not at all. Written here and not by trimesh, whose import
alone takes longer than all the files of a photograph.
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

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
    vertices = np.ascontiguousarray(vertices, "<f4")
    triangles = np.ascontiguousarray(triangles, "<i4")
    data = _WRITERS[kind](vertices, triangles, vertex_colors)
    # Dozens of one face: not worth the time to have each on disk before the next.
    atomic.write_bytes(path, data, sync=False)


def _ply(vertices: np.ndarray, triangles: np.ndarray, painted: np.ndarray | None) -> bytes:
    """Binary little-endian PLY (Turk, 1994)."""
    fields = [(name, "<f4", "float") for name in "xyz"]
    if painted is not None:
        fields += [(name, "u1", "uchar") for name in ("red", "green", "blue")]
    rows = np.empty(len(vertices), [(name, kind) for name, kind, _ in fields])
    for i, (name, _, _) in enumerate(fields):
        rows[name] = vertices[:, i] if painted is None or i < 3 else painted[:, i - 3]
    faces = np.empty(len(triangles), [("count", "u1"), ("index", "<i4", 3)])
    faces["count"], faces["index"] = 3, triangles
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {kind} {name}" for name, _, kind in fields),
        f"element face {len(triangles)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    return "\n".join(header).encode() + rows.tobytes() + faces.tobytes()


def _obj(vertices: np.ndarray, triangles: np.ndarray, painted: np.ndarray | None) -> bytes:
    """Wavefront OBJ; it counts from 1, and has no place for colours."""
    points = ("v %.8f %.8f %.8f\n" * len(vertices)) % tuple(vertices.ravel().tolist())
    faces = ("f %d %d %d\n" * len(triangles)) % tuple((triangles.ravel() + 1).tolist())
    return (points + faces).encode()


def _glb(vertices: np.ndarray, triangles: np.ndarray, painted: np.ndarray | None) -> bytes:
    """Binary glTF 2.0: a header, the description as JSON, and the numbers."""
    parts = [triangles.astype("<u4"), vertices]
    kinds = [
        {"componentType": 5125, "type": "SCALAR", "count": triangles.size},  # uint32
        {
            **{"componentType": 5126, "type": "VEC3", "count": len(vertices)},  # float32
            **{"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()},
        },
    ]
    attributes = {"POSITION": 1}
    if painted is not None:
        alpha = np.full((len(vertices), 1), 255)  # and four bytes a vertex, as glTF wants it
        parts.append(np.concatenate([painted, alpha], 1).astype("u1"))
        kinds.append({"componentType": 5121, "type": "VEC4", "count": len(vertices)})  # uint8
        kinds[-1]["normalized"] = True
        attributes["COLOR_0"] = 2
    sizes = [part.nbytes for part in parts]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    told = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 0}]}],
        "accessors": [{"bufferView": i, **kind} for i, kind in enumerate(kinds)],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": size}
            for start, size in zip(starts, sizes, strict=True)
        ],
        "buffers": [{"byteLength": sum(sizes)}],
    }
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 4)
    numbers = b"".join(part.tobytes() for part in parts)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(numbers), b"BIN\0") + numbers
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


_WRITERS = {"ply": _ply, "obj": _obj, "glb": _glb}

"""Meshes and landmarks as people hand them in: OBJ and PLY; .npy, .txt, .pp and .lnd.

Positions and triangles are read and nothing else: colours after the position (`v x y z r g b`),
normals, texture coordinates and materials are passed over. Polygons become fans of triangles.
Every fault is a ValueError of one line that names the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ofer_jax import pickles

MESHES = (".obj", ".ply")
LANDMARKS = (".npy", ".txt", ".pp", ".lnd")
_MAX_BYTES = 1 << 30
_NUMBERS = {
    **{"char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2"},
    **{"ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4"},
    **{"float": "f4", "float32": "f4", "double": "f8", "float64": "f8"},
}
_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class Mesh:
    """Positions in the file's unit, triangles counted from 0; `coloured` if an OBJ's vertex lines
    go on after the position."""

    vertices: Float[np.ndarray, "V 3"]
    triangles: Int[np.ndarray, "F 3"]
    coloured: bool = False


def mesh(path: str | Path) -> Mesh:
    """Reads an OBJ or PLY file."""
    path = Path(path)
    data = _bytes(path)
    try:
        found = _ply(data) if data.startswith(b"ply") else _obj(data.decode("latin-1"))
        _check(found)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise ValueError(f"{path}: not a sound mesh ({_line(error)})") from None
    return found


def landmarks(path: str | Path) -> Float[np.ndarray, "7 3"]:
    """Reads 7 points: .npy, .txt (a row each), MeshLab's .pp, or .lnd (a number and x y z)."""
    path = Path(path)
    data = _bytes(path)
    try:
        found = _points(path.suffix.lower(), data)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: cannot be read as landmarks ({_line(error)})") from None
    if found.shape != (7, 3) or not np.isfinite(found).all():
        shape = " x ".join(map(str, found.shape))
        raise ValueError(f"{path}: it holds {shape} numbers; 7 landmarks are 7 x 3 finite numbers")
    return found


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"{path}: larger than 1 GiB")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None


def _points(suffix: str, data: bytes) -> np.ndarray:
    if suffix == ".npy":
        found = pickles.loads_npy(data)
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
            raise ValueError("it holds no plain array of numbers")
        return found.astype(np.float64)
    text = data.decode("latin-1")
    if suffix == ".pp":
        tags = re.findall(r"<point\b[^>]*>", text)
        values = [[re.search(rf'\b{axis}="([^"]*)"', tag) for axis in "xyz"] for tag in tags]
        return np.array([[float(v.group(1)) if v else np.nan for v in row] for row in values])
    rows = [line.split() for line in text.replace(",", " ").splitlines() if line.strip()]
    return np.array(rows, np.float64)[:, 1 if suffix == ".lnd" else 0 :]


def _obj(text: str) -> Mesh:
    lines = text.splitlines()
    points = [line for line in lines if line.startswith(("v ", "v\t"))]
    faces = [line for line in lines if line.startswith(("f ", "f\t"))]
    if not points:
        raise ValueError("no vertex")
    vertices = np.loadtxt(points, usecols=(1, 2, 3), ndmin=2)
    corners = re.sub(r"/\S*", "", "\n".join(faces)).splitlines()
    widths = {line.count(" ") for line in corners}
    if not faces:
        triangles = np.zeros((0, 3), np.int64)
    elif widths == {3}:
        triangles = np.loadtxt(corners, dtype=np.int64, usecols=(1, 2, 3), ndmin=2)
    else:
        fans = [_fan([int(word) for word in line.split()[1:]]) for line in corners]
        triangles = np.array([t for fan in fans for t in fan], np.int64).reshape(-1, 3)
    triangles = np.where(triangles < 0, len(vertices) + triangles, triangles - 1)
    return Mesh(vertices, triangles, coloured=len(points[0].split()) >= 7)


def _fan(polygon: list[int]) -> list[tuple[int, int, int]]:
    return [(polygon[0], polygon[i], polygon[i + 1]) for i in range(1, len(polygon) - 1)]


def _ply(data: bytes) -> Mesh:
    end = data.index(b"end_header")
    start = data.index(b"\n", end) + 1
    form, elements = "", []
    for words in (line.split() for line in data[:end].decode("latin-1").splitlines()):
        if words[:1] == ["format"]:
            form = words[1]
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            elements[-1][2].append(words[1:])
    if form != "ascii" and form not in _ORDER:
        raise ValueError(f"PLY format {form!r}")
    read = _ascii(data[start:]) if form == "ascii" else _binary(data, start, _ORDER[form])
    found = {name: read(count, properties) for name, count, properties in elements}
    vertex = found["vertex"]
    faces = found.get("face", {})
    lists = next((v for k, v in faces.items() if k.startswith("vertex_ind")), [])
    fans = [lists] if isinstance(lists, np.ndarray) else [_fan(list(p)) for p in lists]
    triangles = np.concatenate([np.zeros((0, 3)), *filter(len, fans)]).astype(np.int64)
    points = np.stack([np.asarray(vertex[axis], np.float64) for axis in "xyz"], axis=1)
    return Mesh(points, triangles)


def _ascii(data: bytes):
    lines = iter(data.decode("latin-1").splitlines())

    def read(count: int, properties: list[list[str]]) -> dict:
        rows = [next(lines, "").split() for _ in range(count)]
        if properties[0][0] == "list":
            return {properties[0][3]: [list(map(int, r[1 : 1 + int(r[0])])) for r in rows]}
        table = np.array([row[: len(properties)] for row in rows], np.float64)
        return {
            p[-1]: table.reshape(count, len(properties))[:, i] for i, p in enumerate(properties)
        }

    return read


def _binary(data: bytes, start: int, order: str):
    at = start

    def read(count: int, properties: list[list[str]]) -> dict:
        nonlocal at
        if properties[0][0] != "list":
            fields = [(p[-1], order + _NUMBERS[p[0]]) for p in properties]
            table = np.frombuffer(data, fields, count, at)
            at += table.nbytes
            return {p[-1]: table[p[-1]] for p in properties}
        if len(properties) > 1:
            raise ValueError("PLY faces with more than a list of corners")
        _, length, number, name = properties[0]
        lengths, numbers = np.dtype(order + _NUMBERS[length]), np.dtype(order + _NUMBERS[number])
        fields = np.dtype([("n", lengths), ("corners", numbers, 3)])
        if len(data) - at >= count * fields.itemsize:
            table = np.frombuffer(data, fields, count, at)
            if (table["n"] == 3).all():
                at += table.nbytes
                return {name: table["corners"]}
        polygons = []
        for _ in range(count):
            n = int(np.frombuffer(data, lengths, 1, at)[0])
            polygons.append(np.frombuffer(data, numbers, n, at + lengths.itemsize).tolist())
            at += lengths.itemsize + n * numbers.itemsize
        return {name: polygons}

    return read


def _check(found: Mesh) -> None:
    if not np.isfinite(found.vertices).all():
        raise ValueError("positions that are not finite")
    count = len(found.vertices)
    if len(found.triangles) and not 0 <= found.triangles.min() <= found.triangles.max() < count:
        raise ValueError(f"a triangle asks for a vertex beyond the {count} there are")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__

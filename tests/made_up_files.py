"""The files that made-up data sets consist of: pictures, crops, coefficients, lists, meshes."""

import functools
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FACES = 4  # different ones


@functools.lru_cache(maxsize=FACES)
def face(number: int) -> dict[str, Any]:
    """A record of the synthetic set: picture [224, 224, 3], landmarks, coefficients."""
    from data_pipelines.synthetic import example

    return example.make(11, number % FACES)


@functools.cache
def jpeg(number: int, side: int = 224) -> bytes:
    """A face as a JPEG; -1 is a picture without one."""
    grey = np.full((224, 224, 3), 128, np.uint8)
    picture = Image.fromarray(grey if number < 0 else face(number % FACES)["image"])
    stream = io.BytesIO()
    picture.resize((side, side)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_crops(stem: Path, number: int, values: float = 0.0) -> None:
    """IMAGE.npy (float, [-1, 1]) and IMAGE.jpg as MICA's preparation writes them."""
    write(stem.with_name(f"{stem.name}.jpg"), jpeg(number))
    small = Image.open(io.BytesIO(jpeg(number, 112))).convert("RGB")
    crop = np.asarray(small, np.float32).transpose(2, 0, 1) / 127.5 - 1 + np.float32(values)
    np.save(stem.with_name(f"{stem.name}.npy"), crop)


def write_npz(path: Path, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def write_list(path: Path, rows: Mapping[Any, Any]) -> None:
    """A dict in a `.npy`, pickled by NumPy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array(dict(rows), dtype=object), allow_pickle=True)


def shape_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).normal(size=300)


@functools.cache
def head(who: int, when: int) -> bytes:
    """A registered mesh as a binary PLY: an open head of a shape and an expression."""
    import trimesh

    from data_pipelines.synthetic import heads

    model, rng = heads.open_head().model, np.random.default_rng(when)
    vertices = np.asarray(model.v_template, np.float64)
    vertices = vertices + np.asarray(model.shapedirs) @ shape_of(who)[: model.num_shape]
    vertices = vertices + np.asarray(model.exprdirs) @ rng.normal(0, 0.3, model.exprdirs.shape[-1])
    mesh = trimesh.Trimesh(vertices, np.asarray(model.faces), process=False)
    data: Any = mesh.export(file_type="ply")
    return data

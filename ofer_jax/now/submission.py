"""The folder that a benchmark wants, made by a bundle: a neutral face for each picture.

FOLDER/SUBJECT/CHALLENGE/IMAGE.obj in metres and IMAGE.npy beside it: expression, jaw and pose are
zero because nothing but the shape is used. `choice` says which shape of the samples: the first by
the ranker's scores ('ranked') or the mean of all ('mean'). The landmarks' file comes last, so a
pair is whole, and a run that goes on skips it.

A picture is cut to the face's box that came with the data set, with room around, so that nobody
else in it is taken for the subject. Where no face is found, the head's mean face is handed in, for
a submission has to be whole; it is listed in `submission.json` and said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ofer_jax import atomic, photos, pickles, reconstruct
from ofer_jax.now import heads
from ofer_jax.now.layout import Item

CHOICES = ("ranked", "mean")
FILE = "submission.json"
_ROOM = 0.8  # of the box's longer side, on each side of it


@dataclass(frozen=True)
class Sampling:
    """How the shapes are drawn."""

    shapes: int = 100
    seed: int = 0
    choice: str = "ranked"


def write(
    reconstructor: reconstruct.Reconstructor,
    items: Sequence[Item],
    folder: str | Path,
    sampling: Sampling,
) -> list[str]:
    """Reconstructs the pictures that are not there yet; returns a line for each that failed.

    Raises:
      ValueError: the folder holds another submission.
    """
    folder = Path(folder)
    record = {"bundle": reconstructor.bundle.config.get("params_sha256", ""), **vars(sampling)}
    _check_same(folder, record)
    failed = _failed(folder)
    for item in tqdm(items, desc="reconstructing", unit="image"):
        if (folder / f"{item.image}.npy").is_file():
            continue
        vertices, error = _vertices(reconstructor, item, sampling)
        if error:
            failed[item.image] = error
        heads.write(folder, item.image, reconstructor.head, vertices)
        if error:
            _record(folder, record, failed)
    _record(folder, record, failed)
    images = {item.image for item in items}
    return [f"{error}; the mean face stands for it" for i, error in failed.items() if i in images]


def _vertices(
    reconstructor: reconstruct.Reconstructor, item: Item, sampling: Sampling
) -> tuple[np.ndarray, str]:
    try:
        photo = photos.read(item.picture or Path(item.image))
        found = _first(
            lambda p: reconstructor(p, seed=sampling.seed, shapes=sampling.shapes, expressions=1),
            [cut for cut in (_cut(photo, item.box), photo) if cut is not None],
        )
    except photos.PhotoError as error:
        return np.asarray(reconstructor.head.v_template), str(error)
    best = found.vertices[0] if sampling.choice == "ranked" else found.vertices.mean(axis=0)
    return best, ""


def _first(function: Callable[[Any], Any], given: Sequence[Any]) -> Any:
    """The first answer that there is."""
    for one in given[:-1]:
        try:
            return function(one)
        except photos.PhotoError:
            continue
    return function(given[-1])


def _cut(photo: photos.Photo, box: Path | None) -> photos.Photo | None:
    """The face's box with room around, where there is one and the picture was not reduced."""
    if box is None or not box.is_file() or photo.notes:
        return None
    try:
        stored = pickles.loads_npy(box.read_bytes())
        named = ("left", "top", "right", "bottom")
        sides = [stored[side] for side in named] if isinstance(stored, dict) else np.ravel(stored)
        left, top, right, bottom = (float(side) for side in sides)
    except (ValueError, KeyError, TypeError, OSError):
        return None
    room = _ROOM * max(right - left, bottom - top)
    x, y = (max(0, int(side - room)) for side in (left, top))
    part = photo.image[y : int(bottom + room), x : int(right + room)]
    if min(part.shape[:2]) < photos.MIN_SIDE:
        return None
    return photos.Photo(photo.name, np.ascontiguousarray(part), photo.notes, photo.source)


def _check_same(folder: Path, record: dict[str, Any]) -> None:
    stored = _read(folder)
    if other := [key for key in record if key in stored and stored[key] != record[key]]:
        raise ValueError(
            f"{folder}: a submission of another {other[0]} ({stored[other[0]]}, not "
            f"{record[other[0]]}); give another --out, or remove it"
        )
    if not stored and folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder}: holds files of another origin; give another --out")
    _record(folder, record, _failed(folder))


def _failed(folder: Path) -> dict[str, str]:
    return dict(_read(folder).get("failed", {}))


def _read(folder: Path) -> dict[str, Any]:
    try:
        stored = json.loads((folder / FILE).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise ValueError(f"{folder / FILE}: damaged; remove the folder") from None
    return stored if isinstance(stored, dict) else {}


def _record(folder: Path, record: dict[str, Any], failed: dict[str, str]) -> None:
    text = json.dumps({**record, "failed": failed}, indent=1) + "\n"
    atomic.write_text(folder / FILE, text)

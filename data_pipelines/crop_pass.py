"""Aligned crops of every picture of a data set, for encoders that train: ArcFace's and FaRL's.

    DIR/crops/SPLIT/crop_112_clean.npy [N, 112, 112, 3], crop_224_clean.npy [N, 224, 224, 3], the
    same of the occluded pictures (uint8 RGB), the coefficients, meta.json, rejected.jsonl

Stage 1 (`raw_pass`) finds the faces and cuts the crops, in parts; stage 2 (`finished`) puts the
parts together, one at a time: a crop pass needs the memory of one part (38 MB) a worker, and twice
the finished size (376 kB a pair) on disk until it is done.
"""

import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_pipelines import data_card, finished, raw_pass
from data_pipelines import input as pipeline
from data_pipelines.input import CROPS, KINDS
from data_pipelines.npz import Arrays
from data_pipelines.raw_pass import Faces

NAME = "crops"


def run(
    directory: str | os.PathLike, *, faces: Faces = raw_pass.open_faces, workers: int = 2
) -> dict[str, dict[str, Any]]:
    """Makes the crops of all splits of the data set in `directory`; returns their metas.

    Splits whose crops of this very data set are already there are left alone.

    Args:
      directory: of the data set.
      faces: gives the detector and the crops.
      workers: processes; 0 works in this one (and on its accelerator).

    Raises:
      ValueError: no data set there, no face in any picture of a split.
    """
    directory = pathlib.Path(directory)
    card = data_card.read(directory)
    splits = data_card.splits(card)
    wanted = {"content_hash": card["content_hash"]}
    missing = [s for s in splits if not finished.is_there(directory, s, NAME, **wanted)]
    files = {f"{name}_{kind}": f"{kind}_{name}" for name in CROPS for kind in KINDS}
    if missing:
        raw = raw_pass.folder(directory, NAME, card)
        raw_pass.extract(directory, missing, raw, take, faces, workers)
        for split in missing:
            target = pipeline.folder(directory, split, NAME)
            finished.collect(raw / split, target, card, files, features=NAME, projection="")
            shutil.rmtree(raw / split)
        shutil.rmtree(raw)
    return {split: pipeline.read_meta(directory, split, NAME) for split in splits}


def take(
    faces: Any,
    pictures: Sequence[np.ndarray],
    found: Sequence[Any],
    names: Sequence[str] = CROPS,
) -> Arrays:
    """The crops of one face a picture, uint8 RGB [N, 112, 112, 3] and [N, 224, 224, 3]."""
    pairs = list(zip(pictures, found, strict=True))
    return {name: np.stack([getattr(faces, name)(*pair) for pair in pairs]) for name in names}

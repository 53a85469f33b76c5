"""One record of a set of real pictures (`faces`): its fields, how they are stored, and a reader.

A record is one picture of one person: two aligned crops, what places them, and FLAME coefficients.
Nothing larger than the crops is kept of the photograph.
"""

import functools
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import npz, stored

NAME = "faces"
KIND = "faces"  # what the data card says; the synthetic set says 'open_head'
PICTURES = {"crop_112": 112, "crop_224": 224}
DESCRIPTION = (
    "Pictures of people with FLAME coefficients of each person: ArcFace's aligned crop, a larger "
    "one about the face, and the points that place both."
)
VECTORS = {
    "landmarks": ((68, 2), "68 points in crop_224: x right, y down, px, centres at integers"),
    "five": ((5, 2), "eyes, nose, mouth corners (image-left first) in crop_224, px"),
    "to_112": ((2, 3), "affine map from px of crop_224 to px of crop_112"),
    "shape": ((300,), "identity coefficients, standard normal, no unit"),
    "expression": ((100,), "expression coefficients, no unit; zeros where unknown"),
    "jaw": ((3,), "jaw rotation, axis-angle, radians; zeros where unknown"),
    "neck": ((3,), "neck rotation, axis-angle, radians; zeros where unknown"),
    "eyes": ((6,), "left then right eye rotation, axis-angle, radians; zeros where unknown"),
    "global_rotation": ((3,), "root rotation, axis-angle, radians; zeros where unknown"),
}
SCALARS = {
    "score": (np.float32, "of the face detector, 0..1; 1 for crops prepared by others"),
    "has_expression": (np.bool_, "whether the expression and the rotations are known"),
    "subject_id": (np.int64, "number of the subject within the split, in order of the names"),
}
TEXTS = {
    "subject": "the person, never in two splits",
    "dataset": "the set that the picture is of",
    "name": "of the picture, unique for a subject of a data set",
    "head": "release of FLAME that the coefficients belong to",
}


def features() -> tfds.features.FeaturesDict:
    """The record: crops RGB uint8, points, coefficients, names."""
    picture = functools.partial(tfds.features.Image, dtype=np.uint8, encoding_format="jpeg")
    tensor = functools.partial(tfds.features.Tensor, dtype=np.float32)
    return tfds.features.FeaturesDict(
        {
            "crop_112": picture(shape=(112, 112, 3), doc="ArcFace's five-point crop, RGB"),
            "crop_224": picture(shape=(224, 224, 3), doc="the larger crop (see the card), RGB"),
        }
        | {name: tensor(shape=shape, doc=doc) for name, (shape, doc) in VECTORS.items()}
        | {name: tfds.features.Scalar(dtype, doc=doc) for name, (dtype, doc) in SCALARS.items()}
        | {name: tfds.features.Text(doc=doc) for name, doc in TEXTS.items()}
    )


def encode(record: Mapping[str, Any], quality: int = stored.QUALITY) -> dict[str, Any]:
    """Crops to JPEG; the rest as it is."""
    return {**record, **{name: stored.jpeg(record[name], quality) for name in PICTURES}}


def decode(record: Mapping[str, Any]) -> dict[str, Any]:
    """A stored record as arrays: crops uint8 RGB, float32 vectors, numpy scalars, str."""
    return {
        **{name: stored.picture(record[name]) for name in PICTURES},
        **{name: np.asarray(record[name], np.float32) for name in VECTORS},
        **{name: dtype(record[name]) for name, (dtype, _) in SCALARS.items()},
        **{name: stored.text(record[name]) for name in TEXTS},
    }


def open_split(directory: str | os.PathLike, split: str) -> stored.Split:
    """The decoded records of a split, read at random, in order of (subject, dataset, name).

    Raises:
      ValueError: no data set there, or no such split.
    """
    stored.check_split(directory, split)
    return stored.Split(directory, split, tuple(PICTURES), decode)


def rows_file(directory: str | os.PathLike, split: str) -> pathlib.Path:
    """Of a split's rows: an .npz with `subject_id` int64 [N] and `has_expression` bool [N]."""
    return pathlib.Path(directory) / f"rows_{split}.npz"


def rows(directory: str | os.PathLike, split: str) -> dict[str, np.ndarray]:
    """subject_id and has_expression of each record of a split, without reading the records.

    Raises:
      ValueError: the file is not there, or damaged.
    """
    path = rows_file(directory, split)
    try:
        found = npz.load(path)
        return {name: found[name] for name in ("subject_id", "has_expression")}
    except (OSError, KeyError, ValueError) as error:
        told = f"{path} cannot be read ({type(error).__name__})"
        raise ValueError(f"{told}: build the data set again") from None

"""One record of the synthetic set: its fields, how they are stored, and a reader of a split."""

import functools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import stored

SPLITS = ("test", "validation", "train")  # in order of subject number
SIZE = 224
SHARD = 1000  # subjects a shard: some 70 MB
PICTURES = ("image", "occluded", "mask")
DESCRIPTION = (
    "Faces drawn from the open head, lit, posed, with an expression, rendered by this project's "
    "own rasteriser, each clean and with a synthetic occluder."
)
VECTORS = {
    "shape": (300, "identity coefficients, standard normal, no unit"),
    "expression": (100, "expression coefficients, unit rms, 0 is neutral, no unit"),
    "jaw": (3, "jaw rotation, axis-angle, radians"),
    "neck": (3, "neck rotation, axis-angle, radians"),
    "eyes": (6, "left then right eye rotation, axis-angle, radians"),
    "global_rotation": (3, "root rotation, axis-angle, radians"),
    "camera": (3, "weak perspective s, tx, ty: x = s X + tx, y = -s Y + ty; px per metre, px, px"),
}
TEXTS = {"occluder": "kind of the occluder", "head": "name of the head the coefficients belong to"}


def features() -> tfds.features.FeaturesDict:
    """The record: pictures RGB uint8 [224, 224, 3], mask, coefficients, landmarks, subject."""
    picture = functools.partial(
        tfds.features.Image, shape=(SIZE, SIZE, 3), dtype=np.uint8, encoding_format="jpeg"
    )
    return tfds.features.FeaturesDict(
        {
            "image": picture(doc="clean picture, RGB"),
            "occluded": picture(doc="the same picture with the occluder over it, RGB"),
            "mask": tfds.features.Image(
                shape=(SIZE, SIZE, 1), encoding_format="png", doc="255 where the occluder covers"
            ),
            "landmarks": tfds.features.Tensor(
                shape=(68, 2), dtype=np.float32, doc="x right, y down, px, centres at integers"
            ),
            "subject": tfds.features.Scalar(np.int64, doc="subject number, also the draw's seed"),
        }
        | {
            name: tfds.features.Tensor(shape=(size,), dtype=np.float32, doc=doc)
            for name, (size, doc) in VECTORS.items()
        }
        | {name: tfds.features.Text(doc=doc) for name, doc in TEXTS.items()}
    )


def encode(record: Mapping[str, Any], quality: int = stored.QUALITY) -> dict[str, Any]:
    """Pictures to JPEG, the mask to PNG; the rest as it is."""
    mask = np.asarray(record["mask"]).astype(bool) * np.uint8(255)
    pictures = {name: stored.jpeg(record[name], quality) for name in PICTURES[:2]}
    return {**record, **pictures, "mask": stored.encoded(mask, format="PNG")}


def decode(record: Mapping[str, Any]) -> dict[str, Any]:
    """A stored record as arrays: pictures uint8 RGB, mask bool [224, 224], float32 vectors, str."""
    mask = stored.picture(record["mask"]) > 0
    texts = {name: stored.text(record[name]) for name in TEXTS}
    pictures = {name: stored.picture(record[name]) for name in PICTURES[:2]}
    vectors = {name: np.asarray(record[name], np.float32) for name in (*VECTORS, "landmarks")}
    subject = np.int64(record["subject"])
    return {**pictures, "mask": mask, **vectors, "subject": subject, **texts}


def open_split(directory: str | os.PathLike, split: str) -> stored.Split:
    """The decoded records of a split in order of subject number, read at random.

    Raises:
      ValueError: no data set there, or no such split.
    """
    stored.check_split(directory, split)
    return stored.Split(directory, split, PICTURES, decode)

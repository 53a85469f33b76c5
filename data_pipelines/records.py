"""One record of the synthetic set: its fields, how they are stored, and a reader of a split.

Pictures are encoded by Pillow in the workers and handed to TFDS as bytes, since TFDS would encode
arrays by TensorFlow; they are decoded by Pillow, too (TFDS would take OpenCV where it is installed,
whose JPEG decoder may differ by a level).
"""

import functools
import io
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

from data_pipelines import data_card

SPLITS = ("test", "validation", "train")  # in order of subject number
SIZE = 224
QUALITY = 95
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


def encode(record: Mapping[str, Any], quality: int = QUALITY) -> dict[str, Any]:
    """Pictures to bytes: JPEG without chroma subsampling, the mask as PNG; the rest as it is."""
    options = {"format": "JPEG", "quality": quality, "subsampling": 0}
    return {
        **record,
        "image": _to_bytes(record["image"], **options),
        "occluded": _to_bytes(record["occluded"], **options),
        "mask": _to_bytes(np.asarray(record["mask"]).astype(bool) * np.uint8(255), format="PNG"),
    }


def decode(record: Mapping[str, Any]) -> dict[str, Any]:
    """A stored record as arrays: pictures uint8 RGB, mask bool [224, 224], float32 vectors, str."""
    mask = _to_array(record["mask"]) > 0
    texts = {name: _to_text(record[name]) for name in TEXTS}
    pictures = {name: _to_array(record[name]) for name in PICTURES[:2]}
    vectors = {name: np.asarray(record[name], np.float32) for name in (*VECTORS, "landmarks")}
    subject = np.int64(record["subject"])
    return {**pictures, "mask": mask, **vectors, "subject": subject, **texts}


def _to_bytes(array: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(array).save(stream, **options)
    return stream.getvalue()


def _to_array(data: bytes) -> np.ndarray:
    with PIL.Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _to_text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def open_split(directory: str | os.PathLike, split: str) -> "Records":
    """The decoded records of a split in order of subject number, read at random.

    Raises:
      ValueError: no data set there, or no such split.
    """
    card = data_card.read(directory)
    if not card["counts"].get(split):
        raise ValueError(f"{directory} has no split {split!r}, only {card['counts']}")
    return Records(directory, split)


class Records:
    """A split as a sequence of decoded records; cheap to open in each worker."""

    def __init__(self, directory: str | os.PathLike, split: str):
        builder = tfds.builder_from_directory(pathlib.Path(directory))
        skip = {name: tfds.decode.SkipDecoding() for name in PICTURES}
        open_source: Any = builder.as_data_source  # its decorator hides its type
        self._source = open_source(split, decoders=skip)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.__getitem__, range(len(self)))

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return decode(self._source[index])

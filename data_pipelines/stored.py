"""How records lie in ArrayRecord and come back, for every data set of this project.

Pictures are encoded by Pillow in the workers and handed to TFDS as bytes, since TFDS would encode
arrays by TensorFlow; they are decoded by Pillow, too (TFDS would take OpenCV where it is installed,
whose JPEG decoder may differ by a level).
"""

import io
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds

from data_pipelines import data_card

QUALITY = 95


def jpeg(array: np.ndarray, quality: int = QUALITY) -> bytes:
    """A picture uint8 RGB [H, W, 3] as JPEG without chroma subsampling."""
    return encoded(array, format="JPEG", quality=quality, subsampling=0)


def encoded(array: np.ndarray, **options: Any) -> bytes:
    """A picture as the bytes that Pillow saves with `options`."""
    stream = io.BytesIO()
    PIL.Image.fromarray(array).save(stream, **options)
    return stream.getvalue()


def picture(data: bytes) -> np.ndarray:
    """The pixels of an encoded picture."""
    with PIL.Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def text(value: str | bytes) -> str:
    """A text field, which TFDS gives back as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def check_split(directory: str | os.PathLike, split: str) -> None:
    """ValueError when `directory` holds no data set, or not that split."""
    card = data_card.read(directory)
    if not card["counts"].get(split):
        raise ValueError(f"{directory} has no split {split!r}, only {card['counts']}")


class Split(Sequence):
    """A split as a sequence of decoded records, read at random; cheap to open in each worker.

    `decode` turns a record as stored into arrays; TFDS leaves the fields `pictures` as bytes.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        split: str,
        pictures: Sequence[str],
        decode: Callable[[Mapping[str, Any]], dict[str, Any]],
    ):
        builder = tfds.builder_from_directory(pathlib.Path(directory))
        skip = {name: tfds.decode.SkipDecoding() for name in pictures}
        open_source: Any = builder.as_data_source  # its decorator hides its type
        self._source = open_source(split, decoders=skip)
        self._decode = decode

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self.__getitem__, range(len(self)))

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return self._decode(self._source[index])

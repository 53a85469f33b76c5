"""The pictures of either kind of data set, as the passes look at them: a picture and what it shows.

    synthetic set    its records: image, occluded (the set's own occluder), landmarks, ...
    faces            image: the 224 crop; nothing that hides it (the passes draw that)

Both have the coefficients, `landmarks` [68, 2] in pixels of `image`, `subject`, a number, and
`number`, which is the picture's alone whatever else is in the set.
"""

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from data_pipelines import data_card, faces_records, records

SYNTHETIC = "open_head"


def kind(card: Mapping[str, Any]) -> str:
    """Of the data set that a data card is of: 'open_head' (the synthetic set) or 'faces'."""
    return card.get("kind", SYNTHETIC)


def open_split(directory: str | os.PathLike, split: str) -> Sequence[dict[str, Any]]:
    """A split, in the order of its records, read at random.

    Raises:
      ValueError: no data set there, or no such split.
    """
    if kind(data_card.read(directory)) == SYNTHETIC:
        return _Split(records.open_split(directory, split), _of_drawn)
    return _Split(faces_records.open_split(directory, split), _of_face)


class _Split(Sequence):
    """The records of a split as pairs."""

    def __init__(
        self, source: Sequence[Any], pair_of: Callable[[Mapping[str, Any]], dict[str, Any]]
    ):
        self._records, self._pair_of = source, pair_of

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:
        return self._pair_of(self._records[index])


def _of_drawn(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "number": int(record["subject"])}


def _of_face(record: Mapping[str, Any]) -> dict[str, Any]:
    name = "/".join(record[part] for part in ("dataset", "subject", "name"))
    own = {"image": record["crop_224"], "subject": record["subject_id"]}
    return {**record, **own, "number": zlib.crc32(name.encode())}

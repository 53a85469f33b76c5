"""Examples straight from the records of a set of real pictures (`faces_records`): crops are
decoded, and what hides them is drawn, when they are asked for.

Records are known to hold clean pictures only. An occluded one is the clean one with something drawn
over both crops, a function of (seed, index) alone.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_pipelines import augment, data_card, faces_records, stored
from data_pipelines.input.fields import COEFFICIENTS, CROPS, KINDS, TARGETS, Batch
from data_pipelines.input.gather import occluded

SIDES = {"crop_112": 112, "crop_224": 224}
# What hides a picture that is always hidden alike, by its row: held-out ones, in every run.
SEED, HIDDEN = 0, augment.Settings(share=1.0)


def read_meta(directory: str, split: str) -> dict[str, Any]:
    """As `arrays.read_meta`, from the data card."""
    card = data_card.read(directory)
    count = card["counts"].get(split)
    if not count:
        raise ValueError(f"{directory} has no split {split!r}, only {card['counts']}")
    return {
        "features": "crops",
        "projection": "",
        "split": split,
        "count": count,
        **{name: card[name] for name in ("head", "content_hash")},
    }


class Pictures:
    """Training examples of a split."""

    def __init__(
        self,
        directory: str,
        split: str,
        seed: int,
        share: float,
        settings: Mapping[str, Any],
        *,
        alike: bool,
    ):
        """Opens a split.

        Args:
          directory, split: of the set.
          seed: of what is hidden, and by what.
          share: of hidden examples.
          settings: fields of `augment.Settings`.
          alike: hide a picture always as `load_split` does.
        """
        self._records = faces_records.open_split(directory, split)
        self._seed, self._share, self._alike = seed, share, alike
        self._settings = dataclasses.replace(augment.Settings(**settings), share=1.0)

    def __call__(self, rows: np.ndarray, index: np.ndarray) -> Batch:
        hidden = occluded(self._seed, index, self._share)
        made = []
        for row, i, hide in zip(rows.tolist(), index.tolist(), hidden.tolist(), strict=True):
            record = self._records[row]
            crops = {name: record[name] for name in CROPS}
            if hide and self._alike:
                crops = behind(record, augment.rng(SEED, row), HIDDEN)
            elif hide:
                crops = behind(record, augment.rng(self._seed, i), self._settings)
            made.append({name: record[name] for name in TARGETS} | crops)
        stacked = {name: np.stack([each[name] for each in made]) for name in (*TARGETS, *CROPS)}
        crops = {name: stacked.pop(name) for name in CROPS}
        return {**stacked, "features": crops}


def behind(
    record: Mapping[str, Any], rng: np.random.Generator, settings: augment.Settings
) -> dict[str, np.ndarray]:
    """The crops of a record with the same thing before both."""
    crops = (record[name] for name in CROPS)
    placed = {name: record[name] for name in ("landmarks", "to_112")}
    small, large, _ = augment.both(rng, *crops, **placed, settings=settings)
    return {"crop_112": small, "crop_224": large}


def load_split(directory: str, split: str) -> dict[str, Any]:
    """As `arrays.load_split`: coefficients in memory, crops when they are asked for."""
    names = COEFFICIENTS[:6]

    def coefficients(record: Mapping[str, Any]) -> dict[str, Any]:
        return {name: np.asarray(record[name], np.float32) for name in names}

    few = list(stored.Split(directory, split, tuple(faces_records.PICTURES), coefficients))
    arrays: dict[str, Any] = {name: np.stack([each[name] for each in few]) for name in names}
    arrays["subject"] = faces_records.rows(directory, split)["subject_id"]
    arrays["occluder"] = np.array(["drawn"] * len(few))
    shown = HeldOut(faces_records.open_split(directory, split))
    for kind in KINDS:
        arrays[f"features_{kind}"] = {name: Crops(shown, name, kind) for name in CROPS}
    return arrays


class HeldOut:
    """The pictures of a split that a run is judged on; what hides them is the same in every run."""

    def __init__(self, records: Any):
        self.records = records
        # Both sizes of a batch's pictures are asked for one after the other: 50 MB.
        self.crops = functools.lru_cache(maxsize=256)(self._crops)

    def _crops(self, row: int, kind: str) -> dict[str, np.ndarray]:
        record = self.records[row]
        if kind == "clean":
            return {name: record[name] for name in CROPS}
        return behind(record, augment.rng(SEED, row), HIDDEN)


class Crops:
    """One size of them as an array [N, S, S, 3], read when asked for."""

    ndim, dtype = 4, np.dtype(np.uint8)

    def __init__(self, shown: HeldOut, name: str, kind: str):
        self._shown, self._name, self._kind = shown, name, kind
        self.shape = (len(shown.records), SIDES[name], SIDES[name], 3)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        rows = np.arange(len(self))[key]
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place, row in enumerate(rows.tolist()):
            out[place] = self._shown.crops(row, self._kind)[self._name]
        return out

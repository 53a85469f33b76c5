"""The pictures behind rows of features, for those who want to look at them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from data_pipelines import data_card, pairs
from launch import occlusions


def pictures(
    directory: str, split: str, features: str, arrays: Mapping[str, Any], rows: set[int]
) -> dict[int, dict[str, np.ndarray]]:
    """{row: {'clean', 'occluded'}} of some rows of `arrays` (of `load_split`), [224, 224, 3] uint8.

    Raises:
      ValueError: rows that no record fits.
    """
    synthetic = pairs.kind(data_card.read(directory)) == pairs.SYNTHETIC

    def behind(record: Mapping[str, Any], number: int) -> np.ndarray:
        if synthetic:
            return record["occluded"]
        return occlusions.behind(record, number, features)[0]

    return {
        row: {"clean": record["image"], "occluded": behind(record, number)}
        for row, (number, record) in enumerate(
            occlusions.matched(pairs.open_split(directory, split), arrays)
        )
        if row in rows
    }

"""The test split of a data set as pictures and shapes, for checks that look at pictures."""

from typing import Any

import numpy as np

from data_pipelines import data_card, pairs
from ofer_jax import flame
from ofer_jax.flame import FlameModel


def check_head(directory: str, head: FlameModel) -> dict[str, Any]:
    """The data set's card; ValueError where it shows another head."""
    card = data_card.read(directory)
    if card["head"]["sha256"] != head.sha256:
        made = flame.title(card["head"])
        raise ValueError(f"{directory} shows the head {made}, not {flame.title(head.identity)}")
    return card


def first(directory: str, head: FlameModel, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(clean picture, shape [S]) of up to `count` faces of the test split, no person twice."""
    check_head(directory, head)
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for record in pairs.open_split(directory, "test"):
        if len(found) == count:
            break
        found.setdefault(int(record["subject"]), (record["image"], record["shape"]))
    return list(found.values())

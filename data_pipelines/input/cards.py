"""What the data cards tell about sets, without opening them."""

import os
import pathlib

from data_pipelines import data_card


def dataset(directory: str | os.PathLike) -> list[str]:
    """The set that a folder's pictures are of, [] if nothing tells."""
    if not (pathlib.Path(directory) / data_card.FILE).is_file():
        return []
    card = data_card.read(directory)
    return [str(card[key]) for key in ("dataset", "name") if key in card][:1]


def in_records(directory: str | os.PathLike, features: str) -> bool:
    """Whether a set's crops are in its records: a set of real pictures (`faces`)."""
    there = (pathlib.Path(directory) / data_card.FILE).is_file()
    return features == "crops" and there and data_card.read(directory).get("kind") == "faces"

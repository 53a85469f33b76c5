"""What the data cards tell about sets, without opening them."""

import os
import pathlib

from data_pipelines import data_card


def in_records(directory: str | os.PathLike, features: str) -> bool:
    """Whether a set's crops are in its records: a set of real pictures (`faces`)."""
    there = (pathlib.Path(directory) / data_card.FILE).is_file()
    return features == "crops" and there and data_card.read(directory).get("kind") == "faces"

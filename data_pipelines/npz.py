"""Arrays by name in one file: `.npz` files that appear whole or not at all."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ofer_jax import atomic

Arrays = dict[str, np.ndarray]


def save(path: pathlib.Path, arrays: Mapping[str, Any], *, sync: bool = True) -> None:
    """Writes an .npz; `sync` as for `atomic.writing`."""
    with atomic.writing(path, sync=sync) as beside:
        np.savez(beside, allow_pickle=False, **arrays)


def load(path: pathlib.Path, names: Sequence[str] | None = None) -> Arrays:
    """The arrays of an .npz: all, or those of `names` that it has, the others unread.

    Raises:
      OSError: the file cannot be opened.
      ValueError: it is damaged, or no .npz.
    """
    # opened here: of a damaged file np.load would leave its own open
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as stored:
                return {n: stored[n] for n in stored.files if names is None or n in names}
        except Exception as error:  # zipfile and NumPy raise many kinds on broken files
            raise ValueError(f"{path} is damaged ({error!r})") from None

"""An array whose rows lie in several files, so that several processes can make it together.

Part p holds the rows p ROWS to (p + 1) ROWS. A part is whole or not there, and whoever goes on
after a kill makes what is missing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ofer_jax import atomic

ROWS = 256


def files(folder: Path, name: str, count: int) -> list[Path]:
    """The files of an array of `count` rows, in order."""
    total = -(-count // ROWS)
    return [folder / f"{name}-{part:05d}-of-{total:05d}.npy" for part in range(total)]


def rows_of(part: int, count: int) -> np.ndarray:
    """The numbers of the rows in a part."""
    return np.arange(part * ROWS, min((part + 1) * ROWS, count))


def save(path: Path, rows: np.ndarray) -> None:
    """Write one part."""
    with atomic.writing(path) as beside:
        np.save(beside, rows)


class Parts:
    """Their rows as one array, read (from memory maps) when asked for.

    Raises:
      ValueError: if a part is missing or damaged.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.arrays = [load(path) for path in paths]
        tail = {array.shape[1:] for array in self.arrays}
        if len(tail) != 1 or any(len(array) != ROWS for array in self.arrays[:-1]):
            raise ValueError(f"{paths[0].parent} holds parts that do not fit; delete the folder")
        self.shape = (sum(map(len, self.arrays)), *tail.pop())
        self.dtype = self.arrays[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Rows by their numbers, which must be 0 or more."""
        part, within = np.divmod(rows, ROWS)
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for number in np.unique(part).tolist():
            out[part == number] = self.arrays[number][within[part == number]]
        return out


def open_in(folder: Path, name: str) -> Parts:
    """The array of that name in a folder."""
    found = sorted(folder.glob(f"{name}-*-of-*.npy"))
    total = int(found[0].stem.rsplit("-", 1)[1]) if found else 0
    if not found or len(found) != total:
        raise ValueError(f"{folder} holds {len(found)} parts of {name}, not {total or 'all'}")
    return Parts(found)


def load(path: Path) -> np.ndarray:
    """One part, memory-mapped; ValueError if it cannot be read."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete it and start again") from None

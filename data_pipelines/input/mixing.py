"""Several data sets as one: which set gives the next, by weight.

    data/lyhm                                 one set
    data/lyhm,data/stirling                   each as often as it is large: as if they were one
    data/lyhm:1,data/stirling:0.5             two of three from the first, whatever their sizes

The sets take turns as evenly as their weights let them, and whose turn it is, and how often it had
been before, is reckoned from the position alone: no state, exact in integers.
"""

import math
import os
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

FINEST = 1000  # weights are rounded to a fraction with this denominator at most


def parse(directories: str | os.PathLike) -> tuple[list[str], list[Fraction] | None]:
    """The folders that `input.dir` names and their weights; None where it gives no weights.

    Raises:
      ValueError: no folder, a folder twice, some weights but not all, a weight that is not above 0.
    """
    folders, weights = [], []
    for entry in os.fspath(directories).split(","):
        folder, colon, weight = entry.strip().rpartition(":")
        try:
            value = Fraction(weight).limit_denominator(FINEST) if colon else None
        except (ValueError, ZeroDivisionError):
            value = None  # a colon of the folder's own
        folders.append(folder if value is not None else entry.strip())
        weights.append(value)
    if not all(folders):
        raise ValueError(f"the data {os.fspath(directories)!r} name an empty folder")
    if len(set(folders)) < len(folders):
        raise ValueError(f"{directories!r} names a folder twice: give it a larger weight")
    known = [weight for weight in weights if weight is not None]
    if known and len(known) < len(weights):
        raise ValueError(f"{directories!r}: give every data set a weight (DIR:WEIGHT), or none")
    if any(weight <= 0 for weight in known):
        raise ValueError(f"{directories!r}: a weight has to be above 0 (and at least 1/{FINEST})")
    return folders, known or None


def shares(directories: str | os.PathLike) -> tuple[int, list[Fraction] | None]:
    """How many sets there are, and their weights: what a run cannot change on the way."""
    folders, weights = parse(directories)
    return len(folders), weights


class Turns:
    """Whose turn it is at each position of an endless stream.

    The last set gets its share of the positions, spread evenly; the one before it gets its share of
    those that are left; and so on.
    """

    def __init__(self, weights: Sequence[Fraction | int]):
        scale = math.lcm(*(Fraction(weight).denominator for weight in weights))
        whole = [int(weight * scale) for weight in weights]
        self._weights = [weight // math.gcd(*whole) for weight in whole]

    def __call__(self, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(the set [L], how many positions before this one were its own [L]), both int64."""
        which, before = np.zeros_like(position), position.copy()
        undecided = np.ones(len(position), bool)
        for number in range(len(self._weights) - 1, 0, -1):
            weight, total = self._weights[number], sum(self._weights[: number + 1])
            had, has = before * weight // total, (before + 1) * weight // total
            own = undecided & (has > had)
            which[own], before[own] = number, had[own]
            undecided &= ~own
            before[undecided] -= had[undecided]
        return which, before

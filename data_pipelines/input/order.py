"""The order of training examples: which example of which set stands at each place of each step."""

import functools
import sys
from collections.abc import Sequence
from fractions import Fraction

import grain
import numpy as np

from data_pipelines.input.mixing import Turns


class Order:
    """The order of one set. An epoch visits all of it, each in its own permutation.

    With one image a visit, an epoch visits every picture. With K, it visits every subject, and a
    visit gives K of the subject's pictures: drawn anew each epoch, none twice while there are K,
    else all of them in turn.
    """

    def __init__(self, subjects: np.ndarray, images: int, seed: int, number: int = 0):
        """Makes the order of a set.

        Args:
          subjects: [N] whom each picture shows (numbers or names).
          images: K of a visit.
          seed: of the order.
          number: of the set among those that are mixed.
        """
        if not len(subjects):
            raise ValueError("there are no training examples: build a larger data set")
        _, self._subject, sizes = np.unique(subjects, return_inverse=True, return_counts=True)
        self._images, self._sizes = images, sizes
        self.count = len(subjects)
        self.visits = self.count if images == 1 else len(sizes)
        # How often a visit may show one picture: its own turns, so that its index is its own.
        self._turns = 1 if images == 1 else -(-images // int(sizes.min()))
        self._seed = (seed, number)
        self._epoch = functools.lru_cache(maxsize=4)(self._drawn)

    def _drawn(self, epoch: int) -> np.ndarray:
        """The pictures of an epoch's visits [visits, K]."""
        seed, number = self._seed
        rng = np.random.default_rng([seed, epoch, number])
        order = rng.permutation(self.visits)
        if self._images == 1:
            return order[:, None]
        shuffled = np.lexsort((rng.random(self.count), self._subject))
        first = np.cumsum(self._sizes) - self._sizes
        image = np.arange(self._images) % self._sizes[order, None]
        return shuffled[first[order, None] + image]

    def __call__(self, visit: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(turn [L], example [L]) of some images of some visits; no pair of them comes twice."""
        epoch, within = np.divmod(visit, self.visits)
        example = np.empty_like(visit)
        for e in np.unique(epoch).tolist():
            mine = epoch == e
            example[mine] = self._epoch(e)[within[mine], image[mine]]
        again = 0
        if self._turns > 1:
            again = image // self._sizes[self._subject[example]]
        return epoch * self._turns + again, example


class Indices(grain.sources.RandomAccessDataSource):
    """Element `step` is this process's int64 [L] indices of that step: turn * N + row, where N
    counts the rows of all sets, one after another, and the turn tells epochs apart."""

    def __init__(
        self,
        orders: Sequence[Order],
        weights: Sequence[Fraction | int],
        batch_size: int,
        images: int,
        process: int = 0,
        processes: int = 1,
    ):
        if batch_size < 1 or batch_size % processes or not 0 <= process < processes:
            raise ValueError(
                f"a batch of {batch_size} cannot be shared by {processes} processes (this is "
                f"number {process}): choose a multiple"
            )
        if images < 1 or batch_size % images:
            raise ValueError(
                f"a batch of {batch_size} cannot hold {images} images of each subject: choose a "
                "multiple"
            )
        self._orders, self._turns = orders, Turns(weights)
        self._batch, self._images = batch_size, images
        self._slots = np.arange(process, batch_size, processes)
        counts = [order.count for order in orders]
        self._count, self._first = sum(counts), np.cumsum([0, *counts[:-1]])

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> np.ndarray:
        visit, image = np.divmod(index * self._batch + self._slots, self._images)
        which, visit = self._turns(visit)
        out = np.empty_like(visit)
        for number, order in enumerate(self._orders):
            mine = which == number
            turn, example = order(visit[mine], image[mine])
            out[mine] = turn * self._count + self._first[number] + example
        return out

    def __repr__(self) -> str:
        return f"Indices(count={self._count}, batch={self._batch}, slots={self._slots[:2]}...)"

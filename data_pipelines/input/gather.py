"""From indices to batches: the rows of the arrays, of one set or of several."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from data_pipelines.input.draws import uniform
from data_pipelines.input.fields import KINDS, TARGETS, Batch
from ofer_jax.parts import Parts

# (rows of the set [L], indices [L]) -> features and coefficients of these examples.
Source = Callable[[np.ndarray, np.ndarray], Batch]
_CANDIDATES, _VARIANT = 1, 2  # added to the seed: what is drawn beside the kind


def either(
    clean: Any,
    hidden: Any,
    rows: np.ndarray,
    occluded: np.ndarray,
    variants: np.ndarray | None = None,
) -> np.ndarray:
    """The rows of `hidden` where `occluded`, else of `clean`; each file is read forwards. `hidden`
    [N, R, ...] has R versions of each row, of which `variants` are taken."""
    out = np.empty((len(rows), *clean.shape[1:]), clean.dtype)
    for source, chosen in ((clean, ~occluded), (hidden, occluded)):
        places = np.flatnonzero(chosen)
        places = places[np.argsort(rows[places])]
        if variants is None or source.ndim == clean.ndim:
            out[places] = source[rows[places]]
        else:
            out[places] = source[rows[places], variants[places]]
    return out


def occluded(seed: int, index: np.ndarray, share: float) -> np.ndarray:
    """Whether each example shows a hidden face [L]."""
    return uniform(seed, index) < share


class Stored:
    """Examples of a set's arrays: of the clean or of an occluded picture."""

    def __init__(self, arrays: Mapping[str, Any], seed: int, share: float):
        self._arrays, self._seed, self._share = arrays, seed, share
        clean, hidden = (jax.tree.leaves(arrays[f"features_{kind}"])[0] for kind in KINDS)
        self._variants = hidden.shape[1] if hidden.ndim > clean.ndim else 1

    def __call__(self, rows: np.ndarray, index: np.ndarray) -> Batch:
        hidden = occluded(self._seed, index, self._share)
        variants = None
        if self._variants > 1:
            draws = uniform(self._seed + _VARIANT, index)
            variants = (draws * self._variants).astype(np.int64)
        choose = functools.partial(either, rows=rows, occluded=hidden, variants=variants)
        batch = {name: self._arrays[name][rows] for name in TARGETS}
        seen = (self._arrays[f"features_{kind}"] for kind in KINDS)
        return batch | {"features": jax.tree.map(choose, *seen)}


class Pool:
    """IdRank's candidates that were drawn before training, [N, P, S] of each kind of picture."""

    def __init__(self, pools: Mapping[str, Parts], seed: int, share: float, num: int):
        self._pools, self._seed, self._share, self._num = pools, seed, share, num

    def __call__(self, rows: np.ndarray, index: np.ndarray) -> np.ndarray:
        """A random `num` of each picture's, others in each epoch; 0 takes all."""
        hidden = occluded(self._seed, index, self._share)
        clean, occluded_ones = (self._pools[kind] for kind in KINDS)
        pool = either(clean, occluded_ones, rows, hidden)
        size = pool.shape[1]
        if not 0 < self._num < size:
            return pool
        draws = uniform(self._seed + _CANDIDATES, index[:, None] * size + np.arange(size))
        chosen = np.argsort(draws, axis=1)[:, : self._num]
        return np.take_along_axis(pool, chosen[..., None], axis=1)


class Gather:
    """Indices -> batch: each example from the set that its row is of."""

    def __init__(self, sources: Sequence[Source], counts: Sequence[int], pool: Pool | None = None):
        self._sources, self._first, self._pool = sources, np.cumsum([0, *counts]), pool

    def __call__(self, index: np.ndarray) -> Batch:
        rows = index % self._first[-1]
        which = np.searchsorted(self._first, rows, side="right") - 1
        found, places = [], []
        for number in np.unique(which).tolist():
            mine = np.flatnonzero(which == number)
            found.append(self._sources[number](rows[mine] - self._first[number], index[mine]))
            places.append(mine)
        back = np.argsort(np.concatenate(places))
        batch = found[0]
        if len(found) > 1:
            batch = jax.tree.map(lambda *parts: np.concatenate(parts)[back], *found)
        batch["index"] = index
        if self._pool is not None:
            batch["candidates"] = self._pool(rows, index)
        return batch

"""Training batches from the arrays of the feature pass or of the crop pass, by grain.

A training batch is a function of (seed, step) alone. Position p = step * batch + slot of an endless
stream lies in epoch p // N, and epoch e visits the N examples in the order of its own permutation
(seeded by (seed, e)). Process q of c takes the slots q, q + c, ...: together the processes see the
same examples at each step whatever their number. What is drawn at random for an example (clean or
occluded, which candidates) is a hash of the seed and its `index` = epoch * N + example, never of
its place in the batch.

grain gives the iterator with its state, `{"next_index": step}`; its elements are whole batches,
since 256 single elements cost 4 ms in Python and one gather of 256 rows 0.3 ms.
"""

import functools
import json
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import grain
import jax
import numpy as np

from ofer_jax import parts
from ofer_jax.parts import Parts

COEFFICIENTS = (
    "shape",
    "expression",
    "jaw",
    "neck",
    "eyes",
    "global_rotation",
    "subject",
    "occluder",
)
KINDS = ("clean", "occluded")
CROPS = ("crop_112", "crop_224")
# Of a picture: an array of features, or the crops by name.
Features = np.ndarray | dict[str, np.ndarray]


def folder(directory: str | os.PathLike, split: str, features: str = "open") -> pathlib.Path:
    """Where the crop pass (for `features` 'crops') or the feature pass puts a split."""
    return pathlib.Path(directory) / ("crops" if features == "crops" else "features") / split


def read_meta(directory: str | os.PathLike, split: str, features: str = "open") -> dict[str, Any]:
    """`meta.json` of a split: head, feature name, counts; ValueError when there are no features."""
    path = folder(directory, split, features) / "meta.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        what = "crops" if features == "crops" else "features"
        option = "crops" if features == "crops" else "open"
        raise ValueError(
            f"{directory} has no {what} of the split {split!r}: make them with "
            f"python -m launch.build_dataset --out {directory} --features {option}"
        ) from None


def load_split(directory: str | os.PathLike, split: str, features: str = "open") -> dict[str, Any]:
    """All arrays of a split, memory-mapped and read-only, one row a subject.

    Returns:
      features_clean, features_occluded [N, F] float32, or for `features` 'crops' dicts of crop_112
      [N, 112, 112, 3] and crop_224 [N, 224, 224, 3], uint8 RGB; shape [N, 300]; expression
      [N, 100]; jaw, neck, global_rotation [N, 3] and eyes [N, 6] (axis-angle, radians); subject
      [N]; occluder [N] (str).

    Raises:
      ValueError: no features there, or arrays of different lengths.
    """
    count = read_meta(directory, split, features)["count"]
    where = folder(directory, split, features)
    seen = CROPS if features == "crops" else ("features",)
    names = [*COEFFICIENTS, *(f"{name}_{kind}" for name in seen for kind in KINDS)]
    arrays: dict[str, Any] = {name: _load(where / f"{name}.npy") for name in names}
    if lengths := {name: len(a) for name, a in arrays.items() if len(a) != count}:
        raise ValueError(f"{where} is damaged: {lengths} rows instead of {count}; make it again")
    if features == "crops":
        for kind in KINDS:
            arrays[f"features_{kind}"] = {name: arrays.pop(f"{name}_{kind}") for name in CROPS}
    return arrays


def _load(path: pathlib.Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); run the feature pass again") from None


def uniform(seed: int, index: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each index, from a hash (SplitMix64, Steele et al. 2014)."""
    start = np.uint64(np.random.default_rng(seed).integers(2**63))
    z = start + index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Indices(grain.sources.RandomAccessDataSource):
    """Element `step` is this process's int64 [L] indices, epoch * N + example, of that step."""

    def __init__(
        self, count: int, batch_size: int, seed: int, process: int = 0, processes: int = 1
    ):
        if batch_size < 1 or batch_size % processes or not 0 <= process < processes:
            raise ValueError(
                f"a batch of {batch_size} cannot be shared by {processes} processes (this is "
                f"number {process}): choose a multiple"
            )
        if count < 1:
            raise ValueError("there are no training examples: build a larger data set")
        self._count, self._batch = count, batch_size
        self._slots = np.arange(process, batch_size, processes)
        self._order = functools.lru_cache(maxsize=4)(
            lambda epoch: np.random.default_rng([seed, epoch]).permutation(count)
        )

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> np.ndarray:
        position = index * self._batch + self._slots
        epoch, within = np.divmod(position, self._count)
        example = np.empty_like(position)
        for e in np.unique(epoch).tolist():
            example[epoch == e] = self._order(e)[within[epoch == e]]
        return epoch * self._count + example

    def __repr__(self) -> str:
        return f"Indices(count={self._count}, batch={self._batch}, slots={self._slots[:2]}...)"


class Gather:
    """Indices -> batch: the rows of each array, of the clean or of the occluded picture."""

    def __init__(
        self,
        arrays: Mapping[str, Any],
        seed: int,
        occluded_share: float,
        candidates: Mapping[str, Parts] | None = None,
        num_candidates: int = 0,
    ):
        self._arrays, self._seed, self._share = arrays, seed, occluded_share
        self._candidates, self._num = candidates, num_candidates
        self._count = len(arrays["subject"])

    def __call__(self, index: np.ndarray) -> dict[str, Any]:
        rows = index % self._count
        occluded = uniform(self._seed, index) < self._share
        batch = {name: self._arrays[name][rows] for name in ("shape", "expression", "jaw")}
        choose = functools.partial(either, rows=rows, occluded=occluded)
        features: Features = jax.tree.map(choose, *(self._arrays[f"features_{k}"] for k in KINDS))
        batch |= {"features": features, "index": index}
        if self._candidates is not None:
            pool = choose(*(self._candidates[kind] for kind in KINDS))
            batch["candidates"] = self._pick(pool, index)
        return batch

    def _pick(self, pool: np.ndarray, index: np.ndarray) -> np.ndarray:
        """A random `num_candidates` of the pool [B, P, S], others in each epoch; 0 takes all."""
        size = pool.shape[1]
        if not 0 < self._num < size:
            return pool
        draws = uniform(self._seed + 1, index[:, None] * size + np.arange(size))
        chosen = np.argsort(draws, axis=1)[:, : self._num]
        return np.take_along_axis(pool, chosen[..., None], axis=1)


def either(
    clean: np.ndarray | Parts, hidden: np.ndarray | Parts, rows: np.ndarray, occluded: np.ndarray
) -> np.ndarray:
    """The rows of `hidden` where `occluded`, else of `clean`; each file is read forwards."""
    out = np.empty((len(rows), *clean.shape[1:]), clean.dtype)
    for source, chosen in ((clean, ~occluded), (hidden, occluded)):
        places = np.flatnonzero(chosen)
        places = places[np.argsort(rows[places])]
        out[places] = source[rows[places]]
    return out


def make_train_iter(
    config: Any,
    *,
    seed: int,
    features: str = "open",
    process_index: int = 0,
    process_count: int = 1,
) -> grain.DatasetIterator:
    """An endless iterator of training batches with `get_state` / `set_state` (see `state_at`).

    Args:
      config: with the fields `dir` (of the data set), `batch_size` (over all processes) and,
        optionally, `split` ("train"), `occluded_share` (0.5), `candidates` (a folder with the
        parts of SPLIT_clean and SPLIT_occluded, [N, P, S] in the order of the split; "" for none)
        and `num_candidates` (drawn afresh from the P each epoch; 0 for all).
      seed: of the order and of the choice of pictures.
      features: 'crops' for aligned crops; any other name for the features of the feature pass.
      process_index, process_count: which part of each batch is this process's.

    Returns:
      Batches of batch_size / process_count rows: features [B, F] float32 or a dict of the crops
      (crop_112 [B, 112, 112, 3], crop_224 [B, 224, 224, 3], uint8 RGB), shape [B, 300],
      expression [B, 100], jaw [B, 3], index [B] int64 (different in each epoch; the key of all
      that is random for an example) and, where asked for, candidates [B, K, S].

    Raises:
      ValueError: no features, an unknown share, a batch that the processes cannot share.
    """
    share = getattr(config, "occluded_share", 0.5)
    if not 0 <= share <= 1:
        raise ValueError(f"occluded_share is {share}: it has to lie between 0 and 1")
    split = getattr(config, "split", "train")
    arrays = load_split(config.dir, split, features)
    count = len(arrays["subject"])
    candidates = _load_candidates(getattr(config, "candidates", ""), split, count, share)
    indices = Indices(count, config.batch_size, seed, process_index, process_count)
    gather = Gather(arrays, seed, share, candidates, getattr(config, "num_candidates", 0))
    # Everything is in memory, so threads would only compete with the training step for the cores.
    options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return iter(grain.MapDataset.source(indices).map(gather).to_iter_dataset(options))


def kinds(occluded_share: float) -> tuple[str, ...]:
    """The kinds of pictures that training sees at this share."""
    share = {"clean": 1 - occluded_share, "occluded": occluded_share}
    return tuple(kind for kind in KINDS if share[kind] > 0)


def _load_candidates(
    directory: str, split: str, count: int, share: float
) -> dict[str, Parts] | None:
    if not directory:
        return None
    where = pathlib.Path(directory)
    pools = {kind: parts.open_in(where, f"{split}_{kind}") for kind in kinds(share)}
    if lengths := {kind: len(pool) for kind, pool in pools.items() if len(pool) != count}:
        raise ValueError(f"{where} has candidates of {lengths} examples, the data set {count}")
    any_pool = next(iter(pools.values()))  # in place of the kind that is never asked for
    return {kind: pools.get(kind, any_pool) for kind in KINDS}


def state_at(step: int) -> dict[str, int]:
    """The iterator's state after `step` batches, on any number of processes."""
    return {"next_index": step}

"""The iterator of training batches that a config asks for."""

import functools
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grain

from data_pipelines.input import arrays, cards, mixing
from data_pipelines.input.ahead import Ahead
from data_pipelines.input.fields import KINDS, Batch, kinds
from data_pipelines.input.gather import Gather, Pool, Source, Stored
from data_pipelines.input.order import Indices, Order
from ofer_jax import parts


@dataclass(frozen=True)
class Recipe:
    """All that batches depend on; it travels to workers, each of which opens the files itself."""

    directories: str
    split: str
    features: str
    batch_size: int
    images: int
    share: float
    augment: tuple[tuple[str, Any], ...]
    candidates: str
    num_candidates: int
    seed: int
    process: int
    processes: int


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
      config: with the fields `dir` (of the data set, or several with weights: see `mixing`),
        `batch_size` (over all processes) and, optionally, `split` ("train"), `images_per_subject`
        (1: every picture once an epoch; K: K pictures of every subject), `occluded_share` (0.5),
        `augment` (fields of `augment.Settings` but its share: what hides the pictures of a set
        whose crops are in its records), `candidates` (a folder with the parts of SPLIT_clean and
        SPLIT_occluded, [N, P, S] in the order of the split; "" for none), `num_candidates` (drawn
        afresh from the P each epoch; 0 for all) and `workers` (processes that make batches ahead
        of time; 0 makes each when it is asked for).
      seed: of the order and of the choice of pictures.
      features: 'crops' for aligned crops; 'arcface', 'farl', 'farl+arcface' for those encoders'
        outputs; any other name for the features of the feature pass.
      process_index, process_count: which part of each batch is this process's.

    Returns:
      Batches of batch_size / process_count rows: features [B, F] float32 or a dict of the crops
      (crop_112 [B, 112, 112, 3], crop_224 [B, 224, 224, 3], uint8 RGB), shape [B, 300],
      expression [B, 100], jaw [B, 3], index [B] int64 (different in each epoch; the key of all
      that is random for an example) and, where asked for, candidates [B, K, S].

    Raises:
      ValueError: no features, an unknown share, sets that do not fit each other, a batch that the
        processes or whole subjects cannot share.
    """
    recipe = Recipe(
        directories=str(config.dir),
        split=getattr(config, "split", "train"),
        features=features,
        batch_size=config.batch_size,
        images=getattr(config, "images_per_subject", 1),
        share=getattr(config, "occluded_share", 0.5),
        augment=tuple(dict(getattr(config, "augment", {})).items()),
        candidates=getattr(config, "candidates", ""),
        num_candidates=getattr(config, "num_candidates", 0),
        seed=seed,
        process=process_index,
        processes=process_count,
    )
    dataset, workers = batches_of(recipe), getattr(config, "workers", 0)
    if workers < 0:
        raise ValueError(f"workers is {workers}: it has to be 0 (in this process) or more")
    if workers:
        return Ahead(functools.partial(batch_at, recipe), workers)
    # Arrays are in memory, so threads would only compete with the training step for the cores.
    options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return iter(dataset.to_iter_dataset(options))


def state_at(step: int) -> dict[str, int]:
    """The iterator's state after `step` batches, on any number of processes."""
    return {"next_index": step}


@functools.lru_cache(maxsize=1)
def _opened(recipe: Recipe) -> grain.MapDataset[Batch]:
    return batches_of(recipe)


def batch_at(recipe: Recipe, step: int) -> Batch:
    """The batch of a step; the files stay open for the next one."""
    batch = _opened(recipe)[step]
    assert batch is not None  # grain's type for what a filter may drop; there is none
    return batch


def batches_of(recipe: Recipe) -> grain.MapDataset[Batch]:
    """All batches, by step. Raises ValueError as `make_train_iter`."""
    if not 0 <= recipe.share <= 1:
        raise ValueError(f"occluded_share is {recipe.share}: it has to lie between 0 and 1")
    folders, weights = mixing.parse(recipe.directories)
    if len(folders) > 1:
        arrays.read_meta(recipe.directories, recipe.split, recipe.features)  # do they fit?
    sources = [_open(recipe, folder) for folder in folders]
    orders = _orders(folders, recipe.split, recipe.features, recipe.images, recipe.seed)
    counts = [order.count for order in orders]
    indices = Indices(
        orders,
        weights or [order.visits for order in orders],
        recipe.batch_size,
        recipe.images,
        recipe.process,
        recipe.processes,
    )
    gather = Gather(sources, counts, _pool(recipe, sum(counts)))
    return grain.MapDataset.source(indices).map(gather)


def _orders(
    folders: Sequence[str], split: str, features: str, images: int, seed: int
) -> list[Order]:
    return [
        Order(arrays.subjects(folder, split, features), images, seed, number)
        for number, folder in enumerate(folders)
    ]


def epoch_size(config: Any, features: str) -> int:
    """Examples of an epoch, in which every set's pictures, or K of every subject, are seen once."""
    folders, _ = mixing.parse(config.dir)
    images = getattr(config, "images_per_subject", 1)
    orders = _orders(folders, getattr(config, "split", "train"), features, images, seed=0)
    return images * sum(order.visits for order in orders)


def _open(recipe: Recipe, folder: str) -> Source:
    """A set's examples."""
    # Candidates that were drawn before are those of one occluded version.
    shown, one = (recipe.seed, recipe.share), bool(recipe.candidates)
    if cards.in_records(folder, recipe.features):
        from data_pipelines.input import pictures  # with TFDS, which arrays do without

        settings = dict(recipe.augment)
        return pictures.Pictures(folder, recipe.split, *shown, settings, alike=one)
    found = arrays.load_set(folder, recipe.split, recipe.features, all_variants=not one)
    return Stored(found, *shown)


def _pool(recipe: Recipe, count: int) -> Pool | None:
    if not recipe.candidates:
        return None
    where = pathlib.Path(recipe.candidates)
    pools = {kind: parts.open_in(where, f"{recipe.split}_{kind}") for kind in kinds(recipe.share)}
    if lengths := {kind: len(pool) for kind, pool in pools.items() if len(pool) != count}:
        raise ValueError(f"{where} has candidates of {lengths} examples, the data set {count}")
    any_pool = next(iter(pools.values()))  # in place of the kind that is never asked for
    every = {kind: pools.get(kind, any_pool) for kind in KINDS}
    return Pool(every, recipe.seed, recipe.share, recipe.num_candidates)

"""Arrays that training needs beside its batches: IdRank's candidates, and the validation split."""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm

from data_pipelines import input as batches
from launch import setup
from ofer_jax import flame
from ofer_jax.tasks import idrank


def draw_candidates(config: Any, workdir: Path) -> None:
    """IdRank's candidates for both splits, by the frozen IdGen that the config names."""
    if not config.idgen:
        raise ValueError("IdRank needs a trained IdGen: --config.idgen=WORKDIR")
    record, params, _ = setup.best_params(config.idgen)
    _check(config, record)
    model, c = record["config"]["model"], config.candidates
    model["sampler"] = c.sampler.to_dict()
    for number, split in enumerate(("train", "validation") if jax.process_index() == 0 else ()):
        arrays = batches.load_split(config.input.dir, split, model["features"]["name"])
        for kind in batches.KINDS:
            key = jax.random.fold_in(jax.random.key(config.seed), 2 * number + (kind == "clean"))
            path = workdir / "candidates" / split / f"candidates_{kind}.npy"
            bar = functools.partial(tqdm, desc=f"candidates {split} {kind}", unit="batch")
            features = arrays[f"features_{kind}"]
            idrank.draw_candidates(model, params, features, path, key, c.pool, c.keep, 64, bar)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("candidates")


def _check(config: Any, record: dict[str, Any]) -> None:
    """Refuse a run of another task, or on another head than that of the data."""
    if record["config"]["task"] != "idgen":
        raise ValueError(f"--config.idgen={config.idgen} holds a run of {record['config']['task']}")
    head = batches.read_meta(config.input.dir, "train", config.model.features.name)["head"]
    if record["head"]["sha256"] != head["sha256"]:
        raise ValueError(
            f"{config.idgen} was trained on head {flame.title(record['head'])}, not on "
            f"{flame.title(head)} like the data; train IdGen on these data first"
        )


def arrays(config: Any, workdir: Path) -> dict[str, Any]:
    """The validation split, clean and occluded alternating, as one batch that is read in slices."""
    stored = batches.load_split(config.input.dir, "validation", config.model.features.name)
    found = {
        name: Alternating(stored[name], stored[name]) for name in ("shape", "expression", "jaw")
    }
    found["features"] = jax.tree.map(Alternating, *(stored[f"features_{k}"] for k in batches.KINDS))
    if config.task == "idrank":
        pools = workdir / "candidates" / "validation"
        kinds = [np.load(pools / f"candidates_{k}.npy", mmap_mode="r") for k in batches.KINDS]
        found["candidates"] = Alternating(*kinds)
    return {**found, "index": np.arange(len(found["shape"]))}


class Alternating:
    """The rows of two arrays in turn (clean 0, occluded 0, clean 1, ...), read when asked for."""

    def __init__(self, clean: np.ndarray, occluded: np.ndarray) -> None:
        self.clean, self.occluded = clean, occluded

    def __len__(self) -> int:
        return len(self.clean) + len(self.occluded)

    def __getitem__(self, rows: slice) -> np.ndarray:
        number = np.arange(len(self))[rows]
        return batches.either(self.clean, self.occluded, number // 2, number % 2 == 1)

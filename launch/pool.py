"""IdRank's candidates that are drawn before training: by all processes, each its own files."""

import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from data_pipelines import input as batches
from ofer_jax import parts
from ofer_jax.tasks import candidates
from ofer_jax.tasks.candidates import Generator


def fill(config: Any, features: str, folder: Path, pools: Mapping[str, Generator]) -> None:
    """Draw what is missing of the pools, and wait for the other processes.

    They meet at the files, not in a collective, which would give up after some minutes.

    Args:
      config: of the run: seed and input.
      features: what the generators look at.
      folder: of the files, the same for all processes.
      pools: split -> generator.
    """
    place, files = (jax.process_index(), jax.process_count()), []
    for split, made in pools.items():
        arrays = batches.load_split(config.input.dir, split, features)
        share = config.input.occluded_share if split == "train" else 0.5
        for kind in batches.kinds(share):
            number = 2 * (split == "validation") + (kind == "clean")
            key = jax.random.fold_in(jax.random.key(config.seed), number)
            paths = parts.files(folder, f"{split}_{kind}", len(arrays["subject"]))
            bar = functools.partial(tqdm, desc=f"candidates {split} {kind}", unit="part")
            progress = bar if place[0] == 0 else iter
            candidates.fill(made, arrays[f"features_{kind}"], paths, key, *place, progress)
            files += paths
    while not all(path.exists() for path in files):
        time.sleep(1)

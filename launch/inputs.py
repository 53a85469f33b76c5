"""What a run takes from outside: a data set that fits it, and weights of the published encoders."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from data_pipelines import input as batches
from ofer_jax import flame, importers

PARTS = {"arcface": ("arcface",), "farl+arcface": ("farl", "arcface")}  # of the config's encoder


def check_data(config: Any, meta: Mapping[str, Any], head: flame.FlameModel) -> None:
    """Refuse a data set that was made with another head or features, or without what the task
    learns; take over its numbers: the width of its features, and the steps of an epoch."""
    wanted = config.model.features
    if meta["features"] != wanted.name:
        raise ValueError(f"the data set has features {meta['features']!r}, not {wanted.name!r}")
    if "width" in meta:  # crops have none
        wanted.size = meta["width"]
    if config.optim.schedule == "plateau":
        size = meta["count"]
        if config.input.get("images_per_subject", 1) > 1:
            size = batches.epoch_size(config.input, wanted.name)
        config.optim.epoch_steps = max(1, round(size / config.input.batch_size))
    if meta["head"]["sha256"] != head.sha256:
        made = flame.title(meta["head"])
        raise ValueError(
            f"the data set was made with head {made}, not with {flame.title(head.identity)}; "
            "build it again"
        )
    if config.task == "expgen":
        for split in ("train", "validation"):
            if without := batches.unexpressive(config.input.dir, split, wanted.name):
                raise ValueError(
                    f"{', '.join(without)} ({split}) has pictures of unknown expression: ExpGen "
                    "learns from sets with expressions alone"
                )


def pretrained(encoder: str, files: Mapping[str, str | None]) -> dict[str, Any]:
    """The params that take the place of fresh ones, {} for an encoder of our own. An encoder that
    gets no weights is told of on the error stream.

    Args:
      encoder: the name of the config's.
      files: of 'arcface' and 'farl', as `importers` reads them; None where there is none.

    Raises:
      ValueError: for weights that the encoder has no place for, or a file that is none of theirs.
    """
    parts = PARTS.get(encoder, ())
    given = {name: path for name, path in files.items() if path}
    if strange := [f"--{name}" for name in given if name not in parts]:
        raise ValueError(f"the encoder {encoder!r} of this config takes no {strange[0]}")
    bare = [f"--{name}" for name in parts if name not in given]
    if bare and jax.process_index() == 0:
        what = f"without {' and '.join(bare)} the encoder starts from random weights"
        print(f"warning: {what}, which the published recipe never does", file=sys.stderr)
    read = {"arcface": importers.arcface, "farl": importers.farl}
    weights = {name: read[name](path) for name, path in given.items()}
    return {"encoder": weights} if weights else {}


def told(files: Mapping[str, str | None]) -> dict[str, dict[str, str]]:
    """What a run's record says of the files: names and hashes, and not where they lie."""
    found = {}
    for name, path in files.items():
        if path:
            with Path(path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[name] = {"file": Path(path).name, "sha256": digest}
    return found

"""What the training and converting commands share: the head, and what a run left."""

import functools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ofer_jax import best, checkpoint, flame, openhead, train


def head_of(config: Any) -> tuple[flame.FlameModel, dict[str, np.ndarray]]:
    """The head a config names ('open', or the user's own as `flame.load` reads it) and what is
    known of its surface."""
    if config["head"] == "open":
        return flame.load(openhead.head_path()), openhead.surface()
    return flame.load(config["head"]), flame.surface(config["head"])


def constants_of(config: Any, head: flame.FlameModel, surface: Any) -> dict[str, np.ndarray]:
    """What the config's task needs of the head; ValueError where its files do not tell."""
    task = train.TASKS[config["task"]]
    if (region := task.region(config["model"])) not in surface:
        raise ValueError(
            f"the head {head.name!r} has no {region}; `ofer flame check` says what is missing"
        )
    return task.constants(config["model"], head, surface[region])


def best_params(workdir: str | Path) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """(record, params, {'values', 'steps'}) of a finished run's best."""
    path = Path(workdir) / "config.json"
    if not path.is_file():
        raise ValueError(f"{workdir} is not a training folder: it has no config.json")
    record = json.loads(path.read_text())
    config = record["config"]
    if config["head"] != "open":
        config["head"] = str(path.parent / config["head"])
    constants = constants_of(config, *head_of(config))
    task = train.TASKS[config["task"]]
    init = functools.partial(task.init, config["model"])
    abstract = jax.eval_shape(init, jax.random.key(0), constants)
    found = checkpoint.read_best(workdir, best.layout(task.BEST, abstract))
    judged = {n: v for n, v in found["values"].items() if np.isfinite(v)}  # of what the run has
    return record, found.pop("params"), {**found, "values": judged}

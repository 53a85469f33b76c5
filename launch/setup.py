"""What the training and converting commands share: the head and the record of a run."""

import functools
import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from data_pipelines import data_card
from ofer_jax import checkpoint, flame, openhead, train


def head_of(config: Any) -> tuple[flame.FlameModel, dict[str, np.ndarray]]:
    """The head a config names ('open', or the user's own as `flame.load` reads it) and what is
    known of its surface."""
    if config["head"] == "open":
        return flame.load(openhead.head_path()), openhead.surface()
    return flame.load(config["head"]), flame.surface(config["head"])


def constants_of(config: Any, head: flame.FlameModel, surface: Any) -> dict[str, np.ndarray]:
    """What the config's task needs of the head; ValueError where its files do not tell."""
    task = train.TASKS[config["task"]]
    if task.REGION not in surface:
        raise ValueError(
            f"the head {head.name!r} has no {task.REGION}; `ofer flame check` says what is missing"
        )
    return task.constants(config["model"], head, surface[task.REGION])


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
    best = checkpoint.read_best(workdir, train.best_layout(task.BEST, abstract))
    judged = {n: v for n, v in best["values"].items() if np.isfinite(v)}  # of what the run has
    return record, best.pop("params"), {**best, "values": judged}


def told(command: str) -> str:
    """A command for others to read: of a path from the root, only the last name is told."""
    return re.sub(r"(?<![\w./-])/(?:[^\s/=]+/)*([^\s/=]+)", r"\1", command)


def record(config: Any, workdir: Path, head: Any, meta: Any, weights: dict[str, Any]) -> None:
    """WORKDIR/config.json: the config, the head, the data, the encoders' weights and the versions
    of a run; and WORKDIR/head.npz, where the head (and its surface: `head_of`) is the user's."""
    path, plain = workdir / "config.json", json.loads(config.to_json_best_effort())
    if config.head != "open":
        plain["head"] = "head.npz"
        flame.save(workdir / plain["head"], *head)
    if path.is_file() and not weights:  # a run that goes on needs them no more
        weights = json.loads(path.read_text()).get("weights", {})
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
    found = {
        "config": plain,
        "head": head[0].identity,
        "data": {k: meta[k] for k in ("count", "content_hash", "features", "projection")},
        "weights": weights,
        "versions": {name: importlib.metadata.version(name) for name in names},
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "command": told(" ".join(["python", "-m", "launch.train", *sys.argv[1:]])),
    }
    workdir.mkdir(parents=True, exist_ok=True)
    data_card.write_atomic(path, json.dumps(found, indent=1) + "\n")

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
    """The head a config names ('open', or the path of an .npz) and its surface's arrays."""
    if config["head"] == "open":
        return flame.load(openhead.head_path()), openhead.surface()
    with np.load(config["surface"], allow_pickle=False) as surface:
        return flame.load(config["head"]), dict(surface)


def check_data(config: Any, meta: dict[str, Any], head: flame.FlameModel) -> None:
    """Refuse a data set that was made with another head or features; take over their number."""
    wanted = config.model.features
    if meta["features"] != wanted.name:
        raise ValueError(f"the data set has features {meta['features']!r}, not {wanted.name!r}")
    wanted.size = meta["width"]
    found = meta["head"]
    if found["sha256"] != head.sha256:
        raise ValueError(
            f"the data set was made with head {found['name']!r} ({found['sha256'][:12]}), not with "
            f"{head.name!r} ({head.sha256[:12]}); build it again"
        )


def best_params(workdir: str | Path) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """(record, params, {'values', 'steps'}) of a finished run's best."""
    path = Path(workdir) / "config.json"
    if not path.is_file():
        raise ValueError(f"{workdir} is not a training folder: it has no config.json")
    record = json.loads(path.read_text())
    config = record["config"]
    task = train.TASKS[config["task"]]
    head, surface = head_of(config)
    constants = task.constants(config["model"], head, surface[task.REGION])
    init = functools.partial(task.init, config["model"])
    abstract = jax.eval_shape(init, jax.random.key(0), constants)
    best = checkpoint.read_best(workdir, train.best_layout(task.BEST, abstract))
    return record, best.pop("params"), best


def told(command: str) -> str:
    """A command for others to read: of a path from the root, only the last name is told."""
    return re.sub(r"(?<![\w./-])/(?:[^\s/=]+/)*([^\s/=]+)", r"\1", command)


def record(config: Any, workdir: Path, head: flame.FlameModel, meta: dict[str, Any]) -> None:
    """WORKDIR/config.json: the config, the head, the data and the versions of a run."""
    names = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
    found = {
        "config": json.loads(config.to_json_best_effort()),
        "head": {"name": head.name, "sha256": head.sha256},
        "data": {k: meta[k] for k in ("count", "content_hash", "features", "projection")},
        "versions": {name: importlib.metadata.version(name) for name in names},
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "command": " ".join(["python", "-m", "launch.train", *sys.argv[1:]]),
    }
    workdir.mkdir(parents=True, exist_ok=True)
    data_card.write_atomic(workdir / "config.json", json.dumps(found, indent=1) + "\n")

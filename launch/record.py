"""The record of a run, WORKDIR/config.json; it tells no folder of the machine."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from data_pipelines import input as data_input
from launch import versions
from ofer_jax import atomic, flame

DATA = ("count", "content_hash", "features", "projection")  # what is told of the data


def told(command: str) -> str:
    """A command for others to read: of a path from the root, only the last name is told."""
    return re.sub(r"(?<![\w./-])/(?:[^\s/=,]+/)*([^\s/=,]+)", r"\1", command)


def write(config: Any, workdir: Path, head: Any, meta: Any, weights: dict[str, Any]) -> None:
    """WORKDIR/config.json: the config, the head, the data, the encoders' weights, the code and the
    devices of a run; and WORKDIR/head.npz, where the head and its surface are the user's."""
    path = workdir / "config.json"
    plain = _without_folders(json.loads(config.to_json_best_effort()))
    if config.head != "open":
        plain["head"] = "head.npz"
        flame.save(workdir / plain["head"], *head)
    if path.is_file() and not weights:  # a run that goes on needs them no more
        weights = json.loads(path.read_text()).get("weights", {})
    found = {
        "config": plain,
        "head": head[0].identity,
        "data": {
            **{k: meta[k] for k in (*DATA, "variants") if k in DATA or k in meta},
            "sets": data_input.sets(config.input.dir),
        },
        "weights": weights,
        **versions.found(),
        "command": told(" ".join(["python", "-m", "launch.train", *sys.argv[1:]])),
    }
    atomic.write_text(path, json.dumps(found, indent=1) + "\n")


def _without_folders(value: Any) -> Any:
    """A config's values; of paths from the root (one, or several with commas), the last names."""
    if isinstance(value, dict):
        return {name: _without_folders(inner) for name, inner in value.items()}
    if not isinstance(value, str):
        return value
    paths = value.split(",")
    return ",".join(Path(path).name if path.startswith("/") else path for path in paths)

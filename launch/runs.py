"""Three training runs as one bundle."""

from collections.abc import Mapping
from typing import Any

from launch import setup, with_encoders
from launch.record import told
from ofer_jax import bundle, flame
from ofer_jax.encoders import Encoder


def bundle_of(
    workdirs: Mapping[str, str], made: Mapping[str, Encoder] | None = None
) -> tuple[bundle.Bundle, dict[str, Any]]:
    """The best averaged params of each task's run; and the `head` and `surface` that the bundle has
    to bring (see `bundle.save`), {} if it is the embedded one. Runs on stored features get the
    encoders `made`.

    Raises ValueError if a folder holds no run of its task, or the runs do not fit each other.
    """
    tasks, params, provenance, heads = {}, {}, {}, {}
    projections: set[str] = set()
    config: dict[str, Any] = {}
    for name, workdir in workdirs.items():
        record, params[name], best = setup.best_params(workdir)
        config = record["config"]
        if config["task"] != name:
            raise ValueError(f"--{name}={workdir} holds a run of {config['task']}")
        heads[name], projection = record["head"], record["data"]["projection"]
        found = with_encoders.whole(config["model"], params[name], projection, made or {})
        tasks[name], params[name], projection = found
        projections.add(projection)
        provenance[name] = {
            "command": told(record["command"]),
            **{key: record[key] for key in ("data", "versions", "device", "git") if key in record},
            "weights": record.get("weights", {}),
            "seed": config["seed"],
            "best": {n: [int(best["steps"][n]), float(v)] for n, v in best["values"].items()},
        }
    if len(projections) > 1:
        raise ValueError("the three runs were trained on features of different projections")
    head, surface = setup.head_of(config)
    for name, trained in heads.items():
        if trained["sha256"] != head.sha256:
            raise ValueError(
                f"{name} was trained on head {flame.title(trained)}, not on "
                f"{flame.title(head.identity)} like the last of them"
            )
    own = {} if config["head"] == "open" else {"head": head, "surface": surface}
    return bundle.make(tasks, params, head, provenance, *projections), own

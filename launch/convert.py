"""Turn training checkpoints into one inference bundle: the best averaged params of each run.

python -m launch.convert --idgen runs/idgen --idrank runs/idrank --expgen runs/expgen --out BUNDLE
"""

import sys
from collections.abc import Sequence
from typing import Any

from absl import app, flags

from launch import setup
from ofer_jax import bundle

WORKDIRS = {
    name: flags.DEFINE_string(name, None, f"workdir of {name}'s training", required=True)
    for name in bundle.TASKS
}
OUT = flags.DEFINE_string("out", None, "folder to write", required=True)
DTYPE = flags.DEFINE_enum("dtype", "float16", ["float16", "float32"], "how params are stored")


def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    try:
        convert()
    except ValueError as error:
        sys.exit(f"launch.convert: {error}")
    size = sum(path.stat().st_size for path in bundle.files(OUT.value))
    print(f"{OUT.value}: {size / 1e6:.1f} MB")


def convert() -> None:
    """Read the three runs and write the bundle."""
    tasks, params, provenance, heads = {}, {}, {}, {}
    config: dict[str, Any] = {}
    for name, flag in WORKDIRS.items():
        record, params[name], best = setup.best_params(flag.value)
        config = record["config"]
        if config["task"] != name:
            raise ValueError(f"--{name}={flag.value} holds a run of {config['task']}")
        tasks[name], heads[name] = config["model"], record["head"]
        provenance[name] = {
            "command": setup.told(record["command"]),
            **{key: record[key] for key in ("data", "versions", "device")},
            "seed": config["seed"],
            "best": {n: [int(best["steps"][n]), float(v)] for n, v in best["values"].items()},
        }
    projections = {p["data"]["projection"] for p in provenance.values()}
    if len(projections) > 1:
        raise ValueError("the three runs were trained on features of different projections")
    head = setup.head_of(config)[0]
    for name, trained in heads.items():
        if trained["sha256"] != head.sha256:
            raise ValueError(
                f"{name} was trained on head {trained}, which is not {head.name!r} now"
            )
    made = bundle.make(tasks, params, head, provenance, *projections)
    bundle.save(made, OUT.value, DTYPE.value)


if __name__ == "__main__":
    app.run(main)

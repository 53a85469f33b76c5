"""How fast reconstruction, the training steps and what reads for them are on this machine.

    python -m launch.benchmark reconstruct [--rounds 3] [--out FILE.json] [--plot FILE.png]
    python -m launch.benchmark train [--task idgen] [--size paper] [--steps 50] [--out FILE.json]
    python -m launch.benchmark train --against_torch     # beside eager PyTorch: the extra 'torch'
    python -m launch.benchmark scaling --task idgen      # work a device on 1, 2, 4, 8 fake devices
    python -m launch.benchmark input --data DIR [--features open] [--workers 2]
    python -m launch.benchmark fit                       # FLAME to 200 registered meshes
    python -m launch.benchmark flame [--batch 256]       # its layer, beside PyTorch and body-models

The steps' batches are noise, so they need no data. The paper's networks are given the outputs of
their encoders, unless --encoders. `work` prints what `scaling` asks of each process it starts.
`reconstruct` sets ours beside the published procedure in eager PyTorch (the extras 'torch' and, for
--plot, 'plots'): docs/speed.md. It takes ten minutes; let nothing else run.
"""

import itertools
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags

from benchmarks import fitting, flame_speed, reading, table
from benchmarks.cases import SIZES, TASKS
from launch import cases
from ofer_jax import atomic

TASK = flags.DEFINE_multi_enum("task", list(TASKS), TASKS, "which; may be repeated")
SIZE = flags.DEFINE_multi_enum("size", list(SIZES), SIZES, "which; may be repeated")
STEPS = flags.DEFINE_integer("steps", 50, "timed steps of each; beside PyTorch, rounds", 1)
BATCH = flags.DEFINE_multi_integer("batch", [0], "examples a step; 0 as configured", 0)
ENCODERS = flags.DEFINE_bool("encoders", False, "train the published encoders too, from crops")
WAY = flags.DEFINE_enum("candidates", None, ["step", "pool"], "of IdRank (default: as configured)")
AGAINST_TORCH = flags.DEFINE_bool("against_torch", False, "compare with it (paper size alone)")
DATA = flags.DEFINE_string("data", "data/openhead", "for input: as launch.train takes it")
FEATURES = flags.DEFINE_string("features", "crops", "for input: 'open', 'crops', 'farl', ...")
WORKERS = flags.DEFINE_integer("workers", 2, "for input: processes that read ahead", 0)
ROUNDS = flags.DEFINE_integer("rounds", 3, "for reconstruct: turns of each side", 1)
PLOT = flags.DEFINE_string("plot", None, "for reconstruct: a PNG file")
OUT = flags.DEFINE_string("out", None, "a JSON file for all figures")
Rows = list[dict[str, Any]]


def of_cases(action: str) -> Rows:
    """The figures of all cases that the flags name."""
    action = "against_torch" if action == "train" and AGAINST_TORCH.value else action
    sizes = ["paper"] if AGAINST_TORCH.value else SIZE.value
    how = {"steps": STEPS.value, "encoders": ENCODERS.value, "way": WAY.value}
    chosen = itertools.product(TASK.value, sizes, BATCH.value)
    return [row for each in chosen for row in cases.figures(action, *each, **how)]


ACTIONS: dict[str, Callable[[str], Rows]] = {
    **dict.fromkeys(("train", "scaling", "work"), of_cases),
    "input": lambda _: reading.run(
        DATA.value, FEATURES.value, BATCH.value, STEPS.value, WORKERS.value
    ),
    "fit": lambda _: fitting.run(),
    "flame": lambda _: flame_speed.run(BATCH.value),
    "reconstruct": lambda _: cases.reconstruction(ROUNDS.value, PLOT.value),
}


def main(argv: Sequence[str]) -> None:
    if len(argv) != 2 or argv[1] not in ACTIONS:
        raise app.UsageError(f"say what to measure: {', '.join(ACTIONS)}")
    try:
        rows = ACTIONS[argv[1]](argv[1])
    except (ValueError, ImportError) as error:
        sys.exit(f"launch.benchmark: {error}")
    print(json.dumps(rows) if argv[1] == "work" else table.of(rows))
    if OUT.value:
        text = json.dumps({"machine": table.machine(), "rows": rows}, indent=1)
        atomic.write_text(OUT.value, text + "\n")


if __name__ == "__main__":
    app.run(main)

"""How fast the training steps are on this machine.

    python -m launch.benchmark train [--task idgen] [--size paper] [--steps 50] [--out FILE.json]
    python -m launch.benchmark train --against_torch     # beside eager PyTorch: the extra 'torch'
    python -m launch.benchmark scaling --task idgen      # work a device on 1, 2, 4, 8 fake devices

Batches are noise, so no data are needed. The paper's networks are given the outputs of their
encoders, unless --encoders. `work` prints what `scaling` asks of each process that it starts.
"""

import importlib
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from benchmarks import cases, measure, scaling, table
from data_pipelines import data_card
from launch import setup

TASK = flags.DEFINE_multi_enum("task", list(cases.TASKS), cases.TASKS, "which; may be repeated")
SIZE = flags.DEFINE_multi_enum("size", list(cases.SIZES), cases.SIZES, "which; may be repeated")
STEPS = flags.DEFINE_integer("steps", 50, "timed steps of each; beside PyTorch, rounds", 1)
BATCH = flags.DEFINE_multi_integer("batch", [0], "examples a step; 0 as configured", 0)
ENCODERS = flags.DEFINE_bool("encoders", False, "train the published encoders too, from crops")
WAY = flags.DEFINE_enum("candidates", None, ["step", "pool"], "of IdRank (default: as configured)")
AGAINST_TORCH = flags.DEFINE_bool("against_torch", False, "compare with it (paper size alone)")
OUT = flags.DEFINE_string("out", None, "a JSON file for all figures")


def case(task: str, size: str, batch_size: int) -> cases.Case:
    """A task at a size, with a batch."""
    configs = {}
    for name in (task, "idgen"):
        suffix = "" if size == "paper" else "_openhead"
        configs[name] = importlib.import_module(f"configs.{name}{suffix}").get_config()
        if size == "paper" and not ENCODERS.value:
            cases.without_encoders(configs[name])
    config, head = cases.settle(configs[task], batch_size), setup.head_of(configs[task])
    if task == "idrank":
        config.candidates.way = WAY.value or config.candidates.way
    constants, of_idgen = (setup.constants_of(configs[name], *head) for name in (task, "idgen"))
    constants |= cases.generator(config, configs["idgen"], of_idgen)
    return cases.Case(size, config, constants, cases.batch(config, head[0]))


def measured(action: str, task: str, size: str, batch_size: int) -> list[dict[str, Any]]:
    """The figures of one case."""
    if action == "scaling":
        named = [f"--task={task}", f"--size={size}", f"--batch={batch_size}"]
        return scaling.run([sys.executable, "-m", "launch.benchmark", "work", *named])
    made = case(task, size, batch_size)
    if AGAINST_TORCH.value and action == "train":
        against_torch = importlib.import_module("benchmarks.against_torch")  # PyTorch is an extra
        return [against_torch.compare(made, STEPS.value)]
    return [scaling.work(made) if action == "work" else measure.report(made, STEPS.value)]


def main(argv: Sequence[str]) -> None:
    if len(argv) != 2 or argv[1] not in ("train", "scaling", "work"):
        raise app.UsageError("say what to measure: train, scaling or work")
    sizes, rows = ["paper"] if AGAINST_TORCH.value else SIZE.value, []
    try:
        for chosen in itertools.product(TASK.value, sizes, BATCH.value):
            rows += measured(argv[1], *chosen)
    except (ValueError, ImportError) as error:
        sys.exit(f"launch.benchmark: {error}")
    print(json.dumps(rows) if argv[1] == "work" else table.of(rows))
    if OUT.value:
        text = json.dumps({"machine": table.machine(), "rows": rows}, indent=1)
        data_card.write_atomic(Path(OUT.value), text + "\n")


if __name__ == "__main__":
    app.run(main)

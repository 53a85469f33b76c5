"""What `launch.benchmark` measures: a task at a size, with the head and constants of a launch."""

import importlib
import sys
from pathlib import Path
from typing import Any

from benchmarks import cases, measure, scaling
from launch import setup


def figures(
    action: str, task: str, size: str, batch_size: int, *, steps: int, **how: Any
) -> list[dict[str, Any]]:
    """The figures of one case: 'train' times its steps, 'against_torch' beside PyTorch's, 'work'
    counts what a step asks of each device, 'scaling' on more and more of them."""
    if action == "scaling":
        named = [f"--task={task}", f"--size={size}", f"--batch={batch_size}"]
        return scaling.run([sys.executable, "-m", "launch.benchmark", "work", *named])
    made = case(task, size, batch_size, **how)
    if action == "against_torch":
        return [extra("against_torch", "torch").compare(made, steps)]
    return [scaling.work(made) if action == "work" else measure.report(made, steps)]


def case(task: str, size: str, batch_size: int, *, encoders: bool, way: str | None) -> cases.Case:
    """A task with a batch of noise.

    Args:
      task: its name.
      size: 'openhead' or 'paper'.
      batch_size: examples; 0 as configured.
      encoders: train the published encoders too, from crops.
      way: where IdRank's candidates come from; None as configured.
    """
    configs = {}
    for name in (task, "idgen"):
        suffix = "" if size == "paper" else "_openhead"
        variant = "listwise" if (name, size) == ("idrank", "openhead") else ""
        configs[name] = importlib.import_module(f"configs.{name}{suffix}").get_config(variant)
        if size == "paper" and not encoders:
            cases.without_encoders(configs[name])
    config, head = cases.settle(configs[task], batch_size), setup.head_of(configs[task])
    if task == "idrank":
        config.candidates.way = way or config.candidates.way
    constants, of_idgen = (setup.constants_of(configs[name], *head) for name in (task, "idgen"))
    constants |= cases.generator(config, configs["idgen"], of_idgen)
    return cases.Case(size, config, constants, cases.batch(config, head[0]))


def reconstruction(rounds: int, plot: str | None) -> list[dict[str, Any]]:
    """The figures of reconstructing the demo's photographs, drawn into the file `plot`."""
    plots = extra("plots", "plots") if plot else None
    photographs = sorted(Path(__file__).with_name("demo_photos").glob("*.jpg"))
    rows = extra("torch_reconstructing", "torch").run(photographs, rounds)
    if plots:
        plots.reconstruct(rows, plot)
    return rows


def extra(name: str, needs: str) -> Any:
    """A module of `benchmarks` that needs an extra. Raises ImportError that says how to get it."""
    try:
        return importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        raise ImportError(f"{error.name} is missing: pip install -e '.[{needs}]'") from None

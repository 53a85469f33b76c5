"""Our training steps beside those of eager PyTorch, taking turns in one process.

Both have the published size, float32, and the encoders' outputs given, so the same networks are
trained. Of IdRank's published step, 1000 DDPM steps long, a part is measured and multiplied.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import torch

from benchmarks import measure, torch_training
from benchmarks.cases import Case

PART = 20  # DDPM steps measured of the 1000


def compare(case: Case, rounds: int) -> dict[str, Any]:
    """Times of a case's step and of PyTorch's: `rounds` turns of each."""
    ours = measure.Step(case)
    found = measure.turns({"ours": ours.waited, **theirs(case)}, rounds)
    found["torch"] = found["torch"] + found.pop("draw", 0.0) * torch_training.STEPS / PART
    return {**case.name, **compared(found)}


def theirs(case: Case) -> dict[str, Callable[[], Any]]:
    """PyTorch's step 'torch' on a case's batch; IdRank's draws candidates apart, as 'draw'."""
    task, batch = case.config.task, case.batch
    shape, context = (torch.from_numpy(batch[name]) for name in ("shape", "features"))
    if task == "idrank":
        step = torch_training.IdRankStep(case.constants, case.config.input.num_candidates)
        drawn = step.candidates(context, steps=1)
        return {
            "draw": lambda: step.candidates(context, PART),
            "torch": lambda: step.learn(shape, context, drawn),
        }
    x0 = shape
    if task == "expgen":
        expression = batch["expression"][:, : case.config.model.num_expression]
        x0 = torch.from_numpy(np.concatenate([expression, batch["jaw"]], axis=1))
    sizes = torch_training.IDGEN if task == "idgen" else torch_training.EXPGEN
    denoiser = torch_training.DenoiserStep(sizes)
    return {"torch": lambda: denoiser(x0, context)}


def compared(found: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Milliseconds and ratios of two sides that took turns: the median over all rounds, over the
    quiet ones, and of the fastest turn of each side, which favours neither."""
    ratios, quiet = found["torch"] / found["ours"], found["others"] < measure.QUIET
    return {
        "ours_ms": 1e3 * float(np.median(found["ours"])),
        "torch_ms": 1e3 * float(np.median(found["torch"])),
        "ratio": float(np.median(ratios)),
        "ratio_when_quiet": float(np.median(ratios[quiet])) if quiet.any() else None,
        "quiet_rounds": f"{quiet.sum()} of {len(quiet)}",
        "fastest_ms": [1e3 * float(found[side].min()) for side in ("ours", "torch")],
        "ratio_of_fastest": float(found["torch"].min() / found["ours"].min()),
        "others_share": float(np.median(found["others"])),
        "load": os.getloadavg()[0],
        "versions": {"torch": torch.__version__, "jax": jax.__version__},
        "threads": torch.get_num_threads(),
    }

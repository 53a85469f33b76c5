"""OFER's three checkpoint files in their official layout, full size, with rule-made weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests import published, torchfiles

NETWORKS = {
    "idgen": ("denoiser_idgen", ()),
    "idrank": ("ranker", ("farl",)),
    "expgen": ("denoiser_expgen", ("farl",)),
}


def content(task: str) -> dict[str, Any]:
    """What torch.save was given: networks, generators, optimizer, scheduler and counters."""
    name, encoders = NETWORKS[task]
    lacking = published.not_in_checkpoint(name)
    net = {k: v for k, v in published.state_dict(name).items() if k not in lacking}
    tables = published.golden("schedule_linear_1000")
    entries: dict[str, Any] = {"net": net, "arcface": published.state_dict("arcface_iresnet100")}
    if "farl" in encoders:
        entries["farl"] = clip()
    first = next(iter(net.values()))
    moments = {"step": np.float32(7), "exp_avg": 0 * first, "exp_avg_sq": 0 * first}
    groups = [{"lr": 1e-3, "betas": (0.9, 0.999), "weight_decay": 1e-4, "params": [0]}]
    return entries | {
        "var_sched": tables,
        "diffusion": {f"net.{k}": v for k, v in net.items()}
        | {f"var_sched.{k}": v for k, v in tables.items()},
        "optimizer": {"state": {0: moments}, "param_groups": groups},
        "scheduler": {"factor": 0.99, "patience": 2, "best": 0.31, "num_bad_epochs": 1},
        "epoch": 3,
        "global_step": 7,
        "batch_size": 16,
    }


def clip() -> dict[str, np.ndarray]:
    """A whole CLIP model: the image tower, and a little of what else one holds."""
    text = {
        "positional_embedding": np.zeros((77, 512), np.float32),
        "text_projection": np.zeros((512, 512), np.float32),
        "logit_scale": np.float32(4.6),
        "token_embedding.weight": np.zeros((100, 512), np.float32),
        "transformer.resblocks.0.ln_1.weight": np.ones(512, np.float32),
    }
    return {**text, **published.state_dict("farl_vit_b16")}


def write(folder: Path, change: Mapping[str, Mapping[str, Any]] | None = None) -> list[Path]:
    """Writes the three files; `change` replaces entries, say {'idgen': {'epoch': 4}}."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for task in NETWORKS:
        path = folder / f"model_{task}.tar"
        torchfiles.write(path, content(task) | dict((change or {}).get(task, {})))
        paths.append(path)
    return paths

"""A small training run on random numbers, for those that only need one that runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from data_pipelines.input import KINDS
from ofer_jax import flame, openhead


def write(out: Path, count: int = 64, width: int = 16) -> None:
    """OUT/features as the feature pass leaves it, `count` rows a split, for the open head."""
    rng, head = np.random.default_rng(0), flame.load(openhead.head_path()).identity
    sizes = {"shape": 300, "expression": 100, "jaw": 3, "neck": 3, "eyes": 6, "global_rotation": 3}
    sizes |= {f"{name}_{kind}": width for name in ("features", "map") for kind in KINDS}
    meta = {"count": count, "width": width, "map": width, "features": "open", "head": head}
    meta |= {"content_hash": "", "projection": ""}
    for split in ("train", "validation"):
        folder = out / "features" / split
        folder.mkdir(parents=True)
        for name, size in sizes.items():
            np.save(folder / f"{name}.npy", rng.standard_normal((count, size), np.float32))
        np.save(folder / "subject.npy", np.arange(count))
        np.save(folder / "occluder.npy", np.full(count, "hat"))
        (folder / "meta.json").write_text(json.dumps(meta))


def train(data: Path, steps: int, workdir: Path, *more: str) -> subprocess.Popen[bytes]:
    """launch.train of IdGen in `workdir`, with a checkpoint every few steps, and `more` flags;
    WORKDIR.log tells of it. On a CPU, unless JAX_PLATFORMS says otherwise; what is compiled is kept
    beside `data`."""
    settings = f"total_steps={steps} log_steps=1 eval_steps=5 ckpt_steps=7 input.batch_size=16"
    settings += " optim.schedule=plateau optim.warmup_steps=0"
    command = [sys.executable, "-m", "launch.train", "--config=configs/idgen_openhead.py:demo"]
    command += [f"--data={data}", f"--workdir={workdir}"]
    command += [f"--config.{setting}" for setting in settings.split()]
    command += more
    env = {
        "PYTHONFAULTHANDLER": "1",
        "JAX_PLATFORMS": "cpu",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    env |= {"JAX_COMPILATION_CACHE_DIR": str(data.with_name("compiled"))}
    with workdir.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**env, **os.environ})

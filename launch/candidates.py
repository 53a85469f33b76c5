"""IdRank's candidates: those of the held-out pictures, and what training draws its own from."""

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipelines import input as batches
from launch import pool, setup
from ofer_jax import checkpoint, flame
from ofer_jax.tasks import candidates
from ofer_jax.tasks.candidates import Generator

WAYS = ("step", "pool", "none")


def prepare(config: Any, workdir: Path) -> dict[str, Generator]:
    """Draw what has to be drawn before training, and set `candidates.dir` and `input.candidates`.

    The held-out pictures' candidates are the same whatever the way, so that figures can be
    compared. All processes share the work.

    Returns:
      What the step needs beside its other constants: 'generator' for the way 'step'.
    """
    if config.task != "idrank":
        return {}
    c, seen = config.candidates, config.model.features.name
    if c.way not in WAYS:
        raise ValueError(f"candidates.way is {c.way!r}; use one of {', '.join(WAYS)}")
    if not config.idgen:
        raise ValueError("IdRank needs a trained IdGen: --config.idgen=WORKDIR")
    record, params, _ = setup.best_params(config.idgen)
    meta = {s: batches.read_meta(config.input.dir, s, seen) for s in ("validation", "train")}
    _check(config, record, meta["train"]["head"])
    make = functools.partial(candidates.generator, record["config"]["model"], params, keep=c.keep)
    num = config.input.num_candidates if c.way == "step" else c.pool
    training = make(sampler=c.sampler.to_dict(), num=num)
    pools = {"validation": make(sampler=c.held_out.sampler.to_dict(), num=c.held_out.num)}
    if c.way == "pool":
        pools["train"] = training
    told = [f"{s} {made.digest()} {meta[s]['content_hash']}" for s, made in pools.items()]
    folder = _folder(config, workdir, told)
    c.dir, config.input.candidates = str(folder), str(folder) if c.way == "pool" else ""
    pool.fill(config, record["config"]["model"]["features"]["name"], folder, pools)
    return {"generator": training} if c.way == "step" else {}


def _check(config: Any, record: dict[str, Any], head: dict[str, Any]) -> None:
    """Refuse a run of another task, or one that does not know the head or pictures of the data."""
    trained, seen = record["config"], config.model.features.name
    if trained["task"] != "idgen":
        raise ValueError(f"--config.idgen={config.idgen} holds a run of {trained['task']}")
    if record["head"]["sha256"] != head["sha256"]:
        raise ValueError(
            f"{config.idgen} was trained on head {flame.title(record['head'])}, not on "
            f"{flame.title(head)} like the data; train IdGen on these data first"
        )
    name = trained["model"]["features"]["name"]
    if name not in (seen, seen.split("+")[0]) and config.candidates.way == "step":
        raise ValueError(
            f"{config.idgen} looks at features {name!r}, and a step has {seen!r}; use "
            "--config.candidates.way=pool"
        )


def _folder(config: Any, workdir: Path, told: Sequence[str]) -> Path:
    """Where these candidates lie; a run does not go on with others."""
    name = hashlib.sha256(json.dumps([config.seed, *told]).encode()).hexdigest()[:12]
    root = workdir / "candidates"
    if checkpoint.exists(workdir) and any(p.name != name for p in root.glob("*")):
        raise ValueError(
            f"{workdir} was trained with candidates of another IdGen than {config.idgen}, or of "
            "other data; go on with those, or name another --workdir"
        )
    return root / name

"""`launch.train --dry_run`: what a config would take, without its data and without an IdGen."""

import importlib
import json
from pathlib import Path
from typing import Any

import jax

from launch import setup
from ofer_jax import dry_run
from ofer_jax.flame import FlameModel
from ofer_jax.tasks import candidates, idgen


def report(config: Any) -> str:
    """The report of a training config, changed where the launch of a run would set something."""
    head, surface = setup.head_of(config)
    constants: dict[str, Any] = setup.constants_of(config.to_dict(), head, surface)
    if config.task == "idrank" and config.candidates.way == "step":
        constants["generator"] = _generator(config, head, surface)
    if config.optim.schedule == "plateau" and not config.optim.epoch_steps:
        config.optim.epoch_steps = 1  # the data would tell; the step is the same for any number
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), constants)
    return dry_run.report(config, dry_run.batch_of(config, head), shapes)


def _generator(config: Any, head: FlameModel, surface: Any) -> candidates.Generator:
    """The shapes of the IdGen that a run of IdRank names, or of the one of its own kind."""
    if config.idgen:
        path = Path(config.idgen) / "config.json"
        if not path.is_file():
            raise ValueError(f"{config.idgen} is not a training folder: it has no config.json")
        model = json.loads(path.read_text())["config"]["model"]
    else:
        kind = "" if config.model.features.name == "crops" else "_openhead"
        model = importlib.import_module(f"configs.idgen{kind}").get_config().model.to_dict()
    known = setup.constants_of({"task": "idgen", "model": model}, head, surface)
    params = jax.eval_shape(lambda key: idgen.init(model, key, known), jax.random.key(0))
    c = config.candidates
    sampler = c.sampler.to_dict()
    return candidates.generator(model, params, sampler, config.input.num_candidates, c.keep)

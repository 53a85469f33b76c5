"""What is measured: a task's configuration, with random arrays in place of data."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ofer_jax.flame import FlameModel
from ofer_jax.tasks import candidates, idgen

TASKS = ("idgen", "idrank", "expgen")
SIZES = ("openhead", "paper")


@dataclass(frozen=True)
class Case:
    """A task at a size, with what its training step takes."""

    size: str
    config: Any
    constants: dict[str, Any]
    batch: dict[str, Any]

    @property
    def name(self) -> dict[str, Any]:
        """What identifies it in a table."""
        named = {"task": self.config.task, "size": self.size, "batch": self.config.input.batch_size}
        if self.config.task == "idrank":
            named["candidates"] = self.config.candidates.way
        return named


def without_encoders(config: Any) -> None:
    """Let a published config's batches hold its encoders' outputs: OFER's own networks alone."""
    model = ConfigDict(config.model.to_dict())
    width = model.context_dim if config.task == "idrank" else model.net.context_dim
    model.encoder, model.features = {"name": "cached"}, {"name": "open", "size": width}
    config.model, config.optim.groups = model, ConfigDict()


def settle(config: Any, batch_size: int) -> Any:
    """The config with what the launch would take from the data, the steps of an epoch; and with
    another batch size, unless that is 0."""
    if config.optim.schedule == "plateau":
        config.optim.epoch_steps = 1000
    config.input.batch_size = batch_size or config.input.batch_size
    return config


def batch(config: Any, head: FlameModel) -> dict[str, Any]:
    """One batch of noise, float32 but for crops (bytes) and candidates of a pool (float16)."""
    rng, rows, seen = np.random.default_rng(0), config.input.batch_size, config.model.features

    def noise(*shape: int) -> np.ndarray:
        return rng.standard_normal((rows, *shape), np.float32)

    features: Any = noise(seen.size) if seen.name != "crops" else {}
    for side in (112, 224) if seen.name == "crops" else ():
        features[f"crop_{side}"] = rng.integers(0, 256, (rows, side, side, 3), np.uint8)
    made = {"features": features, "shape": noise(head.shapedirs.shape[-1])}
    made |= {"expression": noise(head.exprdirs.shape[-1]), "jaw": 0.1 * noise(3)}
    if config.task == "idrank" and config.candidates.way == "pool":
        made["candidates"] = noise(config.input.num_candidates, config.candidates.keep)
        made["candidates"] = made["candidates"].astype(np.float16)
    return {**made, "index": np.arange(rows, dtype=np.uint32)}


def generator(config: Any, of_idgen: Any, constants: Any) -> dict[str, Any]:
    """IdRank's constant 'generator', an IdGen with fresh params that sees IdRank's own features;
    {} for other tasks and for the way 'pool'. `of_idgen` is IdGen's config, `constants` its own."""
    if config.task != "idrank" or config.candidates.way == "pool":
        return {}
    model = {**of_idgen.model.to_dict(), "features": config.model.features.to_dict()}
    if model["encoder"]["name"] == "cached":  # ArcFace's half of the context is not cut out
        model["net"] = {**model["net"], "context_dim": config.model.context_dim}
    params = jax.jit(lambda key: idgen.init(model, key, constants))(jax.random.key(1))
    sampler = config.candidates.sampler.to_dict()
    num, keep = config.input.num_candidates, config.candidates.keep
    made = candidates.generator(model, jax.device_get(params), sampler, num=num, keep=keep)
    return {"generator": made}

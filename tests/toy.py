"""Toy head, data, configs and bundle: made-up arrays for tests of training and of its users."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ofer_jax import bundle, flame
from ofer_jax.flame import FlameModel
from ofer_jax.tasks import expgen, idgen, idrank

TASKS = {"idgen": idgen, "idrank": idrank, "expgen": expgen}
FEATURES, SHAPE, EXPRESSION, CANDIDATES = 10, 12, 9, 5
REGION = np.arange(30)


def head(vertices: int = 40) -> FlameModel:
    """A made-up head in FLAME's layout with SHAPE and EXPRESSION coefficients."""
    rng = np.random.default_rng(0)
    faces = rng.integers(0, vertices, (60, 3))
    bary = np.full((1, 3), 1 / 3)
    arrays = {
        "v_template": 0.1 * rng.standard_normal((vertices, 3)),
        "shapedirs": 0.004 * rng.standard_normal((vertices, 3, SHAPE)) / np.arange(1, SHAPE + 1),
        "exprdirs": 0.003 * rng.standard_normal((vertices, 3, EXPRESSION)),
        "posedirs": np.zeros((vertices, 3, 36)),
        "J_regressor": np.full((5, vertices), 1 / vertices),
        "lbs_weights": np.full((vertices, 5), 0.2),
        "faces": faces,
        "lmk_faces_idx": rng.integers(0, 60, 51),
        "lmk_bary_coords": np.repeat(bary, 51, 0),
        "full_lmk_faces_idx": rng.integers(0, 60, 68),
        "full_lmk_bary_coords": np.repeat(bary, 68, 0),
        "dynamic_lmk_faces_idx": rng.integers(0, 60, (79, 17)),
        "dynamic_lmk_bary_coords": np.broadcast_to(bary, (79, 17, 3)),
    }
    return flame.io.from_arrays(arrays, name="toy", sha256="0" * 64)


def model_config(
    task: str,
    features: int = FEATURES,
    shape: int = SHAPE,
    expression: int = EXPRESSION,
) -> dict[str, Any]:
    """A tiny config of a task, as a bundle holds it."""
    shared = {
        "features": {"name": "open", "size": features},
        "feature_noise": 0.05,
        "encoder": {"name": "mlp", "hidden": [16], "out_dim": 8, "dropout": 0.1},
    }
    if task == "idrank":
        net = {"hidden": [16, 8], "groups": 4}
        own = {"temperature": 0.1, "vertex_stride": 2, "vertex_scale": 0.3}
        own |= {"relative": True, "rigid_free": True}
        own["rigid_free"] = False
        return {**shared, **own, "context_dim": 8, "net": net}
    diffusion = {
        "prediction_type": "v",
        "loss": "l2",
        "schedule": {"steps": 1000, "beta_start": 1e-4, "beta_end": 1e-2},
        "sampler": {"name": "ddim", "steps": 5, "eta": 1.0},
        "weight_power": 0.5,
    }
    net = {"widths": [16], "context_dim": 8, "time_dim": 16, "attention": False}
    shared |= {**diffusion, "net": net}
    if task == "idgen":
        regressor = {"hidden": [16], "out_dim": 6, "dropout": 0.1}
        own = {"num_coefficients": 6, "basis": "face", "rest": "prior", "regressor": regressor}
        return {**shared, **own}
    jaw = {"jaw_mean": [0.1, 0.0, 0.0], "jaw_scale": [0.1, 0.05, 0.05]}
    sizes = {"num_expression": min(6, expression), "total_expression": expression}
    return {**shared, **sizes, "expression_scale": 1.0, **jaw}


def encoder(name: str) -> dict[str, Any]:
    """Tiny published encoders: ArcFace of one block a stage, three of them frozen, and FaRL."""
    farl = {"width": 8, "depth": 1, "heads": 2, "patch": 56, "out_dim": 6}
    arcface = {"blocks": [1, 1, 1, 1], "width": 4, "out_dim": 8, "frozen_stages": 3}
    return {"name": name, **arcface, "farl": farl}


def picture_config(task: str) -> dict[str, Any]:
    """`model_config` with the published encoders on crops: ArcFace for IdGen, else FaRL too."""
    size, name = (8, "arcface") if task == "idgen" else (14, "farl+arcface")
    config = model_config(task) | {"features": {"name": "crops"}, "encoder": encoder(name)}
    if task == "idrank":
        return config | {"context_dim": size}
    return config | {"net": config["net"] | {"context_dim": size}, "regressor": None}


def crops(count: int) -> dict[str, np.ndarray]:
    """Random pictures, each of its own brightness."""
    rng = np.random.default_rng(2)
    top = rng.integers(60, 256, (count, 1, 1, 1))
    return {
        f"crop_{size}": rng.integers(0, top, (count, size, size, 3)).astype(np.uint8)
        for size in (112, 224)
    }


def config(task: str, total_steps: int = 20) -> ConfigDict:
    """A whole training config of a task."""
    optim = {"learning_rate": 1e-3, "schedule": "cosine", "warmup_steps": 2, "weight_decay": 1e-3}
    return ConfigDict(
        {
            "task": task,
            "seed": 3,
            "model": model_config(task),
            "optim": {**optim, "b2": 0.99, "clip": 1.0, "accumulate": 1, "groups": {}},
            "input": {"batch_size": 16},
            "mesh": {"mode": "data", "data": -1, "fsdp": -1, "rules": ()},
            "ema_decay": 0.9,
            "compute_dtype": "float32",
            "keep": 2,
            "patience_steps": 0,
            "total_steps": total_steps,
            "log_steps": 1,
            "eval_steps": 5,
            "ckpt_steps": 5,
            "picture_steps": 0,
        }
    )


def constants(task: str) -> dict[str, np.ndarray]:
    """The toy head's constants of a task."""
    return TASKS[task].constants(model_config(task), head(), REGION)


def picture_training(task: str, total_steps: int = 20) -> ConfigDict:
    """`config` with the published encoders, their slower rate, and the published plateau."""
    made = config(task, total_steps)
    made.model = ConfigDict(picture_config(task))
    made.optim.update({"schedule": "plateau", "epoch_steps": 2, "warmup_steps": 0})
    made.optim.groups = ConfigDict({"^encoder/": 0.1})
    made.input.batch_size = 8
    return made


def arrays(count: int = 64, pictures: bool = False) -> dict[str, Any]:
    """Made-up examples whose features know a little of the shape; or are crops."""
    rng = np.random.default_rng(1)
    shape = rng.standard_normal((count, SHAPE)).astype(np.float32)
    features = shape[:, :FEATURES] + 0.5 * rng.standard_normal((count, FEATURES))
    noise = rng.standard_normal((count, CANDIDATES, 8)) * rng.uniform(
        0.1, 3, (count, CANDIDATES, 1)
    )
    return {
        "features": crops(count) if pictures else features.astype(np.float32),
        "shape": shape,
        "expression": rng.standard_normal((count, EXPRESSION)).astype(np.float32),
        "jaw": (0.1 * rng.standard_normal((count, 3))).astype(np.float32),
        "candidates": (shape[:, None, :8] + noise).astype(np.float16),
        "index": np.arange(count),
    }


class Batches:
    """Endless batches of the made-up examples, with a state, as grain's iterators have it."""

    def __init__(
        self, size: int = 16, process: int = 0, processes: int = 1, pictures: bool = False
    ) -> None:
        self.arrays, self.size, self.position = arrays(pictures=pictures), size, 0
        self.process, self.processes = process, processes

    def __next__(self) -> dict[str, Any]:
        number = np.arange(self.position * self.size, (self.position + 1) * self.size)
        number = number[self.process :: self.processes]
        self.position += 1
        rows = number * 7 % len(self.arrays["index"])
        return jax.tree.map(lambda a: a[rows], self.arrays) | {"index": number}

    def __iter__(self) -> "Batches":
        return self

    def get_state(self) -> dict[str, int]:
        return {"next_index": self.position}

    def set_state(self, state: dict[str, int]) -> None:
        self.position = state["next_index"]


def random_bundle(
    key: jax.Array,
    model: FlameModel,
    features: int = 557,
    face: np.ndarray = REGION,
    front: np.ndarray = REGION,
) -> bundle.Bundle:
    """An untrained bundle of tiny networks for `model` (any head)."""
    configs, params = {}, {}
    for name, task in TASKS.items():
        configs[name] = model_config(name, features, model.num_shape, model.num_expression)
        region = front if name == "idrank" else face
        made = task.constants(configs[name], model, region)
        key, own = jax.random.split(key)
        params[name] = jax.tree.map(np.asarray, task.init(configs[name], own, made))
    return bundle.make(configs, params, model)


def metrics(workdir: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics."""
    from ofer_jax import writers

    return writers.read_metrics(workdir / "metrics.jsonl")

"""What two samplers draw, side by side: sets of samples, kept in files face by face, and the table
of `evaluate` under both."""

import copy
import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ofer_jax import atomic, evaluate, flame, parts, quality, sampling_quality
from ofer_jax.bundle import Bundle
from ofer_jax.tasks.common import example_keys

TASKS = ("idgen", "expgen")
REFERENCE = {"name": "ddpm"}
FAST = {
    "dpm3": {"name": "dpm3"},
    "dpm": {"name": "dpm"},
    "ddim": {"name": "ddim", "eta": 1.0},
    "ode": {"name": "ddim", "eta": 0.0},
}
ROWS = ("ranked", "oracle", "mean of the samples", "average sample", "calibration")
ROWS += ("expression/mean of the samples", "expression/closest")


@dataclasses.dataclass(frozen=True)
class Given:
    """A bundle, its head and what is known of its surface, and a split's held-out pictures."""

    bundle: Bundle
    head: flame.FlameModel
    surface: Mapping[str, np.ndarray]
    arrays: Mapping[str, Any]


class Drawn:
    """Sets of one task's coefficients, drawn when they are asked for and not there yet."""

    def __init__(self, given: Given, task: str, faces: int, samples: int, folder: Path) -> None:
        self.given, self.task, self.samples, self.folder = given, task, samples, folder
        self.faces = min(faces, len(given.arrays["shape"]))

    def __call__(self, sampler: Mapping[str, Any], seed: int) -> np.ndarray:
        """[F, K, D], float32: face n from the key fold_in(key(seed), n)."""
        name = "-".join([self.task, *(str(value) for value in sampler.values()), str(seed)])
        folder = self.folder / f"{name}-{self._digest(sampler)}"
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{number:05d}.npy" for number in range(self.faces)]
        missing = [number for number, path in enumerate(paths) if not path.exists()]
        config, params = self.given.bundle.task(self.task)
        draw = jax.jit(
            lambda params, features, keys: sampling_quality.coefficients(
                config, params, features, keys, self.samples, sampler
            )
        )
        held = jax.device_put({name: params[name] for name in ("encoder", "net")})
        for number in tqdm(missing, desc=name, unit="face", disable=not missing):
            keys = example_keys(jax.random.key(seed), jnp.asarray([number]))
            parts.save(paths[number], np.asarray(draw(held, self._features(number), keys))[0])
        return np.stack([parts.load(path) for path in paths])

    def _features(self, number: int) -> Any:
        side = evaluate.SIDES[number % 2]
        seen = self.given.arrays[f"features_{side}"]
        return jax.tree.map(lambda array: jnp.asarray(array[number : number + 1]), seen)

    def _digest(self, sampler: Mapping[str, Any]) -> str:
        """Twelve letters for what the draws depend on."""
        config = {**self.given.bundle.task(self.task)[0], "sampler": dict(sampler)}
        weights = self.given.bundle.config["params_sha256"]
        told = json.dumps([weights, config, self.samples], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]


# ---------------------------------------------------------------- the table of evaluate


def tables(given: Given, heads: int | None, out: Path) -> dict[str, Any]:
    """Reports of `quality.report` under DDPM and the bundle's own samplers, kept in files."""
    arrays = jax.tree.map(lambda array: array[:heads], dict(given.arrays))
    return {
        name: _report(given, _with_sampler(given.bundle, sampler), arrays, out / f"{name}.json")
        for name, sampler in (("own", None), ("ddpm", REFERENCE))
    }


def _with_sampler(bundle: Bundle, sampler: Mapping[str, Any] | None) -> Bundle:
    config = copy.deepcopy(bundle.config)
    if sampler:
        config["tasks"] |= {name: config["tasks"][name] | {"sampler": sampler} for name in TASKS}
    return dataclasses.replace(bundle, config=config)


def _report(given: Given, bundle: Bundle, arrays: Any, path: Path) -> dict[str, Any]:
    samplers = {task: bundle.task(task)[0]["sampler"] for task in TASKS}
    about = {"bundle": bundle.config["params_sha256"], "samplers": samplers}
    about["pictures"] = len(arrays["shape"])
    if path.is_file() and about.items() <= (found := json.loads(path.read_text())).items():
        return found
    figures = evaluate.evaluate(bundle, given.head, given.surface, arrays)
    made = quality.report(figures, subject=arrays["subject"], about=about)
    atomic.write_text(path, json.dumps(made, indent=1) + "\n")
    return made


def beside(found: Mapping[str, Any]) -> str:
    """Both reports' ratios as Markdown; empty if there are none."""
    if not found:
        return ""
    told = functools.partial("{value:.3f} [{low:.3f}, {high:.3f}]".format)
    lines = [["", "clean, DDPM", "clean, own", "occluded, DDPM", "occluded, own"], ["---"] * 5]
    for row in ROWS:
        cells = [
            told(**found[name][side][row]["ratio"])
            for side in evaluate.SIDES
            for name in ("ddpm", "own")
        ]
        lines.append([row, *cells])
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)

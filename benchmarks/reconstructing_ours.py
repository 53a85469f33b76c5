"""Our side of `launch.benchmark reconstruct`: a bundle of PyTorch's weights, and its stages as
programs of their own, to be timed apart and compared with PyTorch's results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from ofer_jax import bundle, convert, faces, flame, once
from ofer_jax.reconstruct import Found, Reconstructor
from ofer_jax.tasks import conditioning, expgen, idgen, idrank

Tree = dict[str, Any]


def bundle_of(procedure: Any, tasks: Mapping[str, Any], head: flame.FlameModel) -> bundle.Bundle:
    """A bundle of the weights of a `torch_procedure.Procedure`."""
    params = {name: _params(procedure, name, config) for name, config in tasks.items()}
    return bundle.make(dict(tasks), params, head, mode="paper")


def _params(procedure: Any, task: str, config: Mapping[str, Any]) -> Tree:
    settings, net = config["encoder"], config["net"]
    states = {part: procedure.state(task, part) for part in procedure.nets[task]}
    encoder = {"arcface": convert.arcface(states["arcface"], {"layers": settings["blocks"]})}
    if "farl" in settings:
        named = {f"visual.{k}": v for k, v in states["farl"].items()}
        encoder["farl"] = convert.farl(named, {"layers": settings["farl"]["depth"]})
    if task == "idrank":
        return {"encoder": encoder, "net": convert.ranker(states["net"], net)["params"]}
    made = convert.denoiser(states["net"], {"dims": net["widths"], "numqkv": net["tokens"]})
    params = {"encoder": encoder, "net": made["params"]}
    if task == "idgen":
        params["basis"] = np.eye(config["num_coefficients"], dtype=np.float32)
    return params


def crops(found: Found) -> dict[str, np.ndarray]:
    """What the encoders see of a face: uint8 [1, H, W, 3]."""
    cuts = {"crop_112": faces.crop_112, "crop_224": faces.crop_224}
    return {name: cut(found.photo.image, found.face)[None] for name, cut in cuts.items()}


class Stages:
    """The stages of our chain for one face, each a compiled function of what comes before it.

    Args:
      reconstructor: ready for photographs.
      shapes, expressions: how many are drawn.
      arrays: in place of the reconstructor's own.
      changed: settings in place of the tasks' own, such as 'sampler'.
    """

    def __init__(
        self,
        reconstructor: Reconstructor,
        shapes: int = 100,
        expressions: int = 15,
        arrays: Tree | None = None,
        **changed: Any,
    ) -> None:
        tasks = reconstructor.bundle.config["tasks"]
        configs = {name: {**config, **changed} for name, config in tasks.items()}
        # A network that is given its encoder's outputs starts where the encoder ends.
        given = {name: {**c, "encoder": {"name": "cached"}} for name, c in configs.items()}
        held = once.Once.of(arrays or reconstructor.arrays)
        self.arrays = jax.device_put(held)  # each once, as the whole program is given them

        def encode(arrays: Tree, features: Tree) -> Tree:
            params = arrays["params"]
            return {
                name: conditioning.encode(config, params[name]["encoder"], features)
                for name, config in configs.items()
            }

        def sample(arrays: Tree, context: Tree, key: Any) -> Any:
            params = arrays["params"]["idgen"]
            return idgen.sample(given["idgen"], params, context["idgen"], key, shapes)

        def rank(arrays: Tree, context: Tree, drawn: Any) -> Any:
            params, constants = arrays["params"]["idrank"], arrays["rank"]
            return idrank.scores(given["idrank"], params, constants, drawn, context["idrank"])

        def express(arrays: Tree, context: Tree, key: Any) -> Any:
            params = arrays["params"]["expgen"]
            return expgen.sample(given["expgen"], params, context["expgen"], key, expressions)

        def mesh(arrays: Tree, drawn: Any, moved: Any) -> Any:
            neutral = flame.vertices_over(arrays["head"], shape=drawn)
            expression, jaw = moved
            best = drawn[:, :1].repeat(expression.shape[1], axis=1)
            values = {"shape": best, "expression": expression, "jaw": jaw}
            return neutral, flame.vertices_over(arrays["head"], **values)

        stages = {"encode": encode, "sample": sample, "rank": rank, "express": express}
        self.programs = {k: _jitted(stage) for k, stage in (stages | {"mesh": mesh}).items()}

    def __call__(self, stage: str, *given: Any) -> Any:
        """A stage's results, when they are there."""
        return jax.block_until_ready(self.programs[stage](self.arrays, *given))

    def after_encoding(self, context: Tree, key: Any) -> tuple[Any, ...]:
        """All stages but the first: drawn shapes, scores, expressions with jaws, and meshes."""
        drawn = self("sample", context, key)
        scores, moved = self("rank", context, drawn), self("express", context, key)
        return drawn, scores, moved, self("mesh", drawn, moved)

    def runs(self, features: Tree) -> dict[str, Callable[[], Any]]:
        """Each stage as a call of no arguments."""
        key = jax.random.key(0)
        context = self("encode", features)
        drawn, _, moved, _ = self.after_encoding(context, key)
        return {
            "encode": lambda: self("encode", features),
            "sample": lambda: self("sample", context, key),
            "rank": lambda: self("rank", context, drawn),
            "express": lambda: self("express", context, key),
            "mesh": lambda: self("mesh", drawn, moved),
        }


def _jitted(stage: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(lambda held, *given: stage(held.tree, *given))

"""How fast the FLAME layer is: beside its bare matrix product, eager PyTorch and `body-models`.

All have the open head's 5023 vertices, 300 shape and 100 expression coefficients, float32, and turn
all five joints ('posed'), or give neutral heads of shapes alone. The product is that of the blend
shapes, [B, 400] by [400, 15069]. PyTorch and `body-models` (JAX) take part where installed.
"""

import os
import tempfile
from collections.abc import Iterable
from importlib import util
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import measure
from ofer_jax import flame, openhead

BATCHES = (1, 16, 100, 256, 1024)
ROTATIONS = {"global_rotation": 3, "neck": 3, "jaw": 3, "eyes": 6}
Drawn = dict[str, np.ndarray]


def run(batches: Iterable[int] = (), rounds: int = 7) -> list[dict[str, Any]]:
    """A row for each batch (0 or none: `BATCHES`) and side: ms, vertices a second, and how many
    times the bare product's time."""
    head = flame.load(openhead.head_path())
    rows = []
    for batch in [each for each in batches if each] or BATCHES:
        drawn = draw(head, batch)
        sides = {"product": product(head, drawn), **ours(head, drawn)}
        if util.find_spec("torch") is not None:
            sides |= pytorch(head, drawn)
        if util.find_spec("body_models") is not None:
            sides["body-models, posed"] = body_models(head, drawn)
        found = measure.turns(sides, rounds)
        rows += [_row(head, batch, name, found) for name in sides]
    return rows


def draw(head: flame.FlameModel, batch: int) -> Drawn:
    """What `flame.vertices` takes."""
    rng = np.random.default_rng(0)
    spread = {"shape": (head.num_shape, 1.0), "expression": (head.num_expression, 1.0)}
    spread |= {name: (size, 0.3) for name, size in ROTATIONS.items()}
    return {k: rng.normal(0, s, (batch, n)).astype(np.float32) for k, (n, s) in spread.items()}


def product(head: flame.FlameModel, drawn: Drawn) -> measure.Run:
    """The bare product of the blend shapes."""
    row = jnp.asarray(np.concatenate([drawn["shape"], drawn["expression"]], axis=1))
    parts = [np.asarray(basis) for basis in (head.shapedirs, head.exprdirs)]
    bases = np.concatenate(parts, axis=-1).reshape(-1, row.shape[1])
    return _jitted(lambda a, b: jnp.matmul(a, b, precision="highest"), row, jnp.asarray(bases.T))


def ours(head: flame.FlameModel, drawn: Drawn) -> dict[str, measure.Run]:
    """Posed, the same with landmarks, its gradient, and neutral heads."""

    def marked(model: flame.FlameModel, given: Any) -> Any:
        vertices = flame.vertices(model, **given)
        return vertices, flame.landmarks(model, vertices)

    def squares(given: Any, model: flame.FlameModel) -> Any:
        return jnp.sum(flame.vertices(model, **given) ** 2)

    given = jax.device_put(drawn)
    return {
        "ours, posed": _jitted(lambda model, x: flame.vertices(model, **x), head, given),
        "ours, with landmarks": _jitted(marked, head, given),
        "ours, gradient": _jitted(jax.grad(squares), given, head),
        "ours, neutral": _jitted(lambda m, s: flame.vertices(m, shape=s), head, given["shape"]),
    }


def pytorch(head: flame.FlameModel, drawn: Drawn) -> dict[str, measure.Run]:
    """The same posed heads and neutral ones in eager PyTorch; checked against ours."""
    import torch

    from benchmarks import torch_flame

    layer = torch_flame.Flame(head)
    torch.set_num_threads(os.cpu_count() or 1)
    pose = np.concatenate([drawn[name] for name in ROTATIONS], axis=1).reshape(-1, 5, 3)
    given = [torch.from_numpy(drawn["shape"]), torch.from_numpy(drawn["expression"])]
    rest = [None, torch.from_numpy(pose)]

    def call(*values: Any) -> Any:
        with torch.inference_mode():
            return layer(*values)

    _check("PyTorch", head, drawn, call(*given, *rest).numpy())
    return {
        "PyTorch, posed": lambda: call(*given, *rest),
        "PyTorch, neutral": lambda: call(given[0]),
    }


def body_models(head: flame.FlameModel, drawn: Drawn) -> measure.Run:
    """The same posed heads by the package, jitted; checked against ours."""
    from body_models.flame.jax import FLAME  # pyrefly: ignore

    with tempfile.TemporaryDirectory() as folder:
        layer = FLAME(model_path=_official(head, Path(folder)))
    names = ("neck", "jaw", "eyes")
    pose = np.concatenate([drawn[name] for name in names], axis=1).reshape(-1, 4, 3)
    rest = {key: jnp.asarray(drawn[key]) for key in ("shape", "expression")}
    rest["head_rotation"] = jnp.asarray(drawn["global_rotation"])
    call = _jitted(lambda p, x: layer.forward_vertices(p, **x), jnp.asarray(pose), rest)
    _check("body-models", head, drawn, call())
    return call


def _official(head: flame.FlameModel, folder: Path) -> Path:
    """The head's arrays under the names of FLAME's own files."""
    path, parents = folder / "head.npz", np.array(head.parents, np.int64)
    np.savez(
        path,
        v_template=head.v_template,
        shapedirs=np.concatenate([head.shapedirs, head.exprdirs], axis=-1),
        posedirs=head.posedirs,
        J_regressor=head.J_regressor,
        weights=head.lbs_weights,
        f=np.asarray(head.faces, np.uint32),
        kintree_table=np.stack([parents % 2**32, np.arange(len(parents))]),
    )
    return path


def _jitted(function: Any, *arguments: Any) -> measure.Run:
    compiled = jax.jit(function).lower(*arguments).compile()
    return lambda: jax.block_until_ready(compiled(*arguments))


def _check(name: str, head: flame.FlameModel, drawn: Drawn, found: Any) -> None:
    off = float(np.abs(np.asarray(found) - np.asarray(flame.vertices(head, **drawn))).max())
    if not off < 2e-6:
        raise ValueError(f"{name}'s vertices are off by {off:.1e} m from ours; nothing to compare")


def _row(
    head: flame.FlameModel, batch: int, name: str, found: dict[str, np.ndarray]
) -> dict[str, Any]:
    seconds = float(np.median(found[name]))
    return {
        "task": "FLAME",
        "batch": batch,
        "side": name,
        "step_ms": 1e3 * seconds,
        "vertices_per_s": None if name == "product" else batch * head.num_vertices / seconds,
        "of_product": float(np.median(found[name] / found["product"])),
        "others_share": float(np.median(found["others"])),
    }

"""Both sides of `launch.benchmark reconstruct` are the same networks: checked before any timing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.reconstructing_ours import Stages
from benchmarks.torch_procedure import Procedure
from ofer_jax.reconstruct import Reconstructor
from ofer_jax.tasks import common

TOLERANCE = 2e-3  # of the standard deviation; float32 sums in another order are this near


def check(
    procedure: Procedure, ours: Reconstructor, crops: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    """The largest difference of each stage's results, in standard deviations of them, with all of
    ours in float32 and as they are set. Raises ValueError if one in float32 is too large."""
    rows = []
    wide = {**ours.arrays, "params": jax.device_put(ours.bundle.params)}
    for how, arrays in {"float32": wide, "as set": ours.arrays}.items():
        found = differences(procedure, ours, arrays, crops)
        rows.append({"table": "Both sides agree", "ours": how, **found})
    if max(found := list(rows[0].values())[2:]) > TOLERANCE:
        raise ValueError(f"the two sides differ by {max(found):.2g} standard deviations")
    return rows


@torch.inference_mode()
def differences(
    procedure: Procedure, ours: Reconstructor, arrays: Any, crops: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Of contexts, predicted noise, scores and meshes, ours with these `arrays`."""
    rng, found, of_ours = np.random.default_rng(0), {}, Stages(ours, arrays=arrays)
    told = procedure.encode({k: torch.tensor(v) for k, v in crops.items()}, copies=1)
    context = of_ours("encode", crops)
    for task, theirs in told.items():
        found[f"{task}: context"] = _difference(theirs, context[task])
    for task in ("idgen", "expgen"):
        net, config = procedure.nets[task]["net"], ours.bundle.config["tasks"][task]
        apply = jax.jit(partial(_noise, config, net.dim))
        given = rng.standard_normal((100, net.dim), np.float32), np.full(100, 500)
        given += (np.repeat(told[task].numpy(), 100, axis=0),)
        theirs = net(*map(torch.from_numpy, given))
        found[f"{task}: noise"] = _difference(theirs, apply(arrays["params"][task]["net"], *given))
    drawn = 0.5 * rng.standard_normal((1, 100, 300), np.float32)
    moved = (0.5 * rng.standard_normal((1, 15, 100), np.float32), np.zeros((1, 15, 3), "f"))
    shapes = torch.from_numpy(drawn[0])
    meshes = procedure.flame(shape=shapes)
    found["meshes"] = _difference(meshes, of_ours("mesh", drawn, moved)[0][0])
    scores = of_ours("rank", {"idrank": told["idrank"].numpy()}, drawn)[0]
    found["scores"] = _difference(procedure.scores(meshes, told["idrank"]), scores)
    return found


def _noise(config: Any, size: int, params: Any, x: Any, t: Any, context: Any) -> Any:
    net = common.denoiser(config, size)
    return net.apply({"params": params}, x, t.astype(jnp.int32), context)


def _difference(theirs: torch.Tensor, ours: Any) -> float:
    a, b = theirs.numpy(), np.asarray(ours, np.float32)
    return float(np.abs(a - b).max() / a.std())

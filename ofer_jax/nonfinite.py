"""What a training step does when its loss or its gradient's norm is not finite, and what is left
behind to explain it.

The step itself keeps the state as it was and marks it broken, so that nothing of it is lost while
the host, which looks a few steps late, does not know yet; later steps leave a broken state alone.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from ofer_jax import atomic, trees
from ofer_jax.arrays import Array, Bool, Float, Key, Scalar
from ofer_jax.state import TrainState

BROKEN = -1  # the step of a state that a step has failed on


def guarded(
    before: TrainState, after: TrainState, *figures: Scalar
) -> tuple[TrainState, Bool[Array, ""]]:
    """`after` if all `figures` are finite, else `before`, broken; and whether it is `after`."""
    fine = before.step >= 0
    for figure in figures:
        fine &= jnp.isfinite(figure)
    kept = jax.tree.map(lambda new, old: jnp.where(fine, new, old), after, before)
    return replace(kept, step=jnp.where(fine, after.step, BROKEN)), fine


def explained(
    workdir: str | Path,
    step: int,
    metrics: Mapping[str, Any],
    batch: Any,
    loss_fn: Any,
    params: Any,
    constants: Any,
    step_key: Key[Array, ""],
) -> FloatingPointError:
    """The error of a step that failed on `batch`, once it is written down: the metrics and the loss
    of each example alone in WORKDIR/nonfinite/STEP.json, these and the batch in STEP.npz.

    `params` are those before the step, `loss_fn` takes them, constants, batch and key. For all
    processes to call.
    """
    path = Path(workdir) / "nonfinite" / f"{step}.json"
    losses = jax.jit(functools.partial(_example_losses, loss_fn))(
        params, constants, batch, step_key
    )
    arrays = _whole({**batch, "loss": losses})
    figures = {name: _number(value) for name, value in metrics.items()}
    if jax.process_index() == 0:
        bad = arrays["index"][~np.isfinite(arrays["loss"])].tolist()
        told = {
            "step": step,
            "metrics": figures,
            "not_finite": bad,
            "index": arrays["index"].tolist(),
            "loss": [_number(x) for x in arrays["loss"]],
        }
        _write(path, told, arrays)
    figures = ", ".join(f"{name} {value}" for name, value in figures.items())
    return FloatingPointError(f"step {step} is not finite: {figures}; see {path}")


def _example_losses(
    loss_fn: Any, params: Any, constants: Any, batch: Any, step_key: Key[Array, ""]
) -> Float[Array, "B"]:
    """The loss of each example alone, with the noise it has in the batch."""

    def alone(row: Any) -> Array:
        one = jax.tree.map(lambda x: x[None], row)
        return loss_fn(params, constants, one, step_key)[0]

    return jax.vmap(alone)(batch)


def _whole(tree: Any) -> Any:
    """Global arrays as numpy arrays of every process."""
    if jax.process_count() > 1:
        return multihost_utils.process_allgather(tree, tiled=True)
    return jax.device_get(tree)


def _write(path: Path, told: Mapping[str, Any], arrays: Any) -> None:
    with atomic.writing(path.with_suffix(".npz")) as beside:
        np.savez(beside, **dict(trees.named(arrays)))
    atomic.write_text(path, json.dumps(told, indent=1) + "\n")


def _number(value: Any) -> float | str:
    """As JSON can hold it, which knows no nan."""
    number = float(value)
    return number if np.isfinite(number) else str(number)

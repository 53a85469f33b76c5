"""What a run would take, from shapes alone: its training step is compiled for the devices at hand
and lowered for others. Nothing is allocated, and no data are read.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ofer_jax import inspection, optim, sharding, train
from ofer_jax.flame import FlameModel

Shapes = dict[str, Any]
ELSEWHERE = ("tpu", "cuda")
_PREFIX = {0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def batch_of(config: Any, head: FlameModel) -> Shapes:
    """The shapes of a batch of a run's config, with `head`'s coefficients."""

    def rows(*shape: int, dtype: Any = np.float32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((config.input.batch_size, *shape), dtype)

    wanted = config.model.features
    if wanted.name == "crops":
        features = {f"crop_{n}": rows(n, n, 3, dtype=np.uint8) for n in (112, 224)}
    else:
        features = rows(wanted.size)
    coefficients = {"shape": head.num_shape, "expression": head.num_expression, "jaw": 3}
    batch = {"features": features, **{name: rows(n) for name, n in coefficients.items()}}
    if config.task == "idrank" and config.candidates.way == "pool":
        count = config.input.num_candidates or config.candidates.pool
        batch["candidates"] = rows(count, config.candidates.keep, dtype=np.float16)
    return batch | {"index": rows(dtype=np.uint32)}


def report(
    config: Any, batch: Shapes, constants: Mapping[str, Any], elsewhere: Sequence[str] = ELSEWHERE
) -> str:
    """Parameters, their places, operations and memory of a training step, to be printed.

    Args:
      config: of the run.
      batch: shapes of a batch (`batch_of`).
      constants: of the task, arrays or shapes.
      elsewhere: platforms that the step is lowered for, whether or not they are at hand.

    Raises:
      ValueError: for a config that does not fit.
    """
    run = train.program(config, constants)
    task, model = train.TASKS[config.task], config.model.to_dict()
    size, count = config.input.batch_size, run.mesh.size
    params = run.abstract.params
    factors = optim.labels(params, optim.factors(config.optim, task.frozen(model)))
    traced = run.step.trace(run.abstract, batch, jax.random.key(0), constants)
    began = time.perf_counter()
    compiled = traced.lower().compile()
    took = time.perf_counter() - began
    operations = inspection.flops(traced.jaxpr.jaxpr)
    analysed = compiled.cost_analysis() or {}
    kinds = ", ".join(sorted({device.device_kind for device in run.mesh.devices.flat}))
    lines = [
        f"{config.task}, {size} examples a step on {count} x {kinds}",
        inspection.table(params, factors, config.optim.learning_rate),
        sharding.told(run.abstract),
        f"operations a step: {_short(operations)}FLOP, {_short(operations / size)}FLOP an example "
        "(matrix products and convolutions)",
        f"XLA's own count: {_short(analysed.get('flops', 0))}FLOP a device (of a loop, one turn)",
        *_memory(compiled.memory_analysis()),
        f"compiled for {run.mesh.devices.flat[0].platform} in {took:.1f} s",
    ]
    for platform in elsewhere:
        exported = jax.export.export(run.step, platforms=[platform])
        module = exported(run.abstract, batch, jax.random.key(0), constants).mlir_module_serialized
        lines.append(f"lowered for {platform}: {len(module) / 1e6:.1f} MB of StableHLO")
    return "\n".join(lines)


def _memory(found: Any) -> list[str]:
    """The lines of a program's memory; a device kind may not tell."""
    if found is None:
        return ["memory: this device does not tell"]
    parts = {
        "arguments": found.argument_size_in_bytes,
        "outputs that take new memory": found.output_size_in_bytes - found.alias_size_in_bytes,
        "temporaries": found.temp_size_in_bytes,
    }
    told = ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in parts.items())
    return [f"memory a device: {sum(parts.values()) / 1e6:,.1f} MB ({told})"]


def _short(number: float) -> str:
    """Four digits and the prefix of the unit that follows."""
    power = next((p for p in sorted(_PREFIX, reverse=True) if number >= 10**p), 0)
    return f"{number / 10**power:.4g} {_PREFIX[power]}"

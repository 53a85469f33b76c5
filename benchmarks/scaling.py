"""Weak scaling, by work: what each device computes and sends when every one has the same rows.

Fake devices share the cores of one machine, so their times say nothing; what the compiled program
asks of each does.
"""

import json
import math
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks.cases import Case
from ofer_jax import sharding, train

DEVICES = (1, 2, 4, 8)
KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
BITS = re.compile(r"\D+(\d+)")


def work(case: Case) -> dict[str, Any]:
    """FLOPs a device and bytes in collectives of a case's step, its batch on *each* device."""
    count = jax.device_count()
    rows = jax.tree.map(lambda x: np.tile(x, (count, *(1,) * (x.ndim - 1))), case.batch)
    program = train.program(case.config, case.constants)
    placed = sharding.put_batch(rows, sharding.of_batch(program.mesh))
    lowered = program.step.lower(program.abstract, placed, jax.random.key(0), case.constants)
    # Quick, and the same work.
    compiled = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
    leaves = jax.tree.leaves(program.abstract.params)
    return {
        **case.name,
        "devices": count,
        "flops_a_device": float(compiled.cost_analysis()["flops"]),
        "collective_bytes": collective_bytes(compiled.as_text()),
        "parameter_bytes": sum(x.size * x.dtype.itemsize for x in leaves),
    }


def collective_bytes(program: str) -> dict[str, int]:
    """Bytes that come out of each kind of collective on one device, from the compiled text."""
    found = re.finditer(rf"= (.+?) ({'|'.join(KINDS)})\(", program)
    total: dict[str, int] = {}
    for result, kind in (match.groups() for match in found):
        size = sum(_bytes(*shape) for shape in re.findall(r"(\w+)\[([\d,]*)\]", result))
        total[kind] = total.get(kind, 0) + size
    return total


def _bytes(dtype: str, shape: str) -> int:
    bits = BITS.match(dtype)  # pred has none: a byte
    return math.prod(map(int, filter(None, shape.split(",")))) * (int(bits[1]) if bits else 8) // 8


def run(command: Sequence[str]) -> list[dict[str, Any]]:
    """The rows that `command` prints as JSON (`work`), in a process for each number of devices.

    Raises:
      ValueError: if a process fails, or if what each device does grows with their number.
    """
    rows: list[dict[str, Any]] = []
    for count in DEVICES:
        fake = f"--xla_force_host_platform_device_count={count}"
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": fake}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            # A process that was killed (for its memory, say) has said nothing.
            said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
            raise ValueError(f"{count} devices: {said[-1]}")
        rows += json.loads(done.stdout.splitlines()[-1])
    check(rows)
    return rows


def check(rows: Sequence[Mapping[str, Any]], tolerance: float = 0.02) -> None:
    """Raises ValueError if FLOPs a device grow, or from two devices on the bytes they send."""
    sent = [sum(row["collective_bytes"].values()) for row in rows if row["devices"] > 1]
    for name, values in (
        ("FLOPs a device", [row["flops_a_device"] for row in rows]),
        ("bytes in collectives", sent),
    ):
        if values and max(values) > (1 + tolerance) * min(values):
            told = ", ".join(f"{value:.4g}" for value in values)
            raise ValueError(f"weak scaling: {name} grow with the devices: {told}")

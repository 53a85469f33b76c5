"""Times, memory and operations of a training step on the devices at hand.

A machine that others use too slows both sides of a comparison, and not alike. So the sides take
turns, and of each turn it is recorded which share of the processor's time others had.
"""

import os
import resource
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from benchmarks.cases import Case
from ofer_jax import inspection, sharding, train

Run = Callable[[], Any]
QUIET = 0.1  # the largest share of the processor that others may have in a quiet turn


class Step:
    """A compiled training step and its state: calling it takes one step, without waiting."""

    def __init__(self, case: Case) -> None:
        program = train.program(case.config, case.constants)
        by_batch = sharding.of_batch(program.mesh)
        self.constants = sharding.put_global(case.constants, sharding.replicated(program.mesh))
        self.batch = sharding.put_batch(case.batch, by_batch)
        self.key = jax.random.key(case.config.seed)
        traced = program.step.trace(program.abstract, self.batch, self.key, self.constants)
        self.flops = inspection.flops(traced.jaxpr.jaxpr) / program.mesh.size
        lowered, begun = traced.lower(), time.perf_counter()
        self.compiled = lowered.compile()
        self.compile_s = time.perf_counter() - begun
        self.state, self.metrics = program.start(self.key, self.constants), None

    def __call__(self) -> None:
        self.state, self.metrics = self.compiled(self.state, self.batch, self.key, self.constants)

    def wait(self) -> None:
        """Until all steps taken are done."""
        jax.block_until_ready((self.state, self.metrics))

    def waited(self) -> None:
        """One step, done."""
        self()
        self.wait()


def turns(
    sides: Mapping[str, Run],
    rounds: int,
    seconds: float = 0.3,
    long: Collection[str] = (),
    worked: dict[str, list[float]] | None = None,
) -> dict[str, np.ndarray]:
    """Seconds a call of each side [rounds], the sides taking turns of about `seconds`; and under
    'others' the largest share of the processor that other processes had in a round. Sides that are
    `long` are called once a turn, and not before the first. `worked` is given each call's
    processor seconds, which others hardly change."""
    repeats = dict.fromkeys(long, 1)
    for name, run in sides.items():
        if name in repeats:
            continue
        run()
        begun = time.perf_counter()
        run()
        repeats[name] = max(1, round(seconds / (time.perf_counter() - begun)))
    found: dict[str, list[float]] = {name: [] for name in (*sides, "others")}
    bar = tqdm(total=rounds * len(sides), unit="turn", leave=False, delay=2)
    for _ in range(rounds):
        shares = []
        for name, run in sides.items():
            bar.set_description(name, refresh=False)
            begun, busy, own = time.perf_counter(), _busy(), time.process_time()
            for _ in range(repeats[name]):
                run()
            spent, own = time.perf_counter() - begun, time.process_time() - own
            others = _busy() - busy - own
            if worked is not None:
                worked.setdefault(name, []).append(own / repeats[name])
            shares.append(max(0.0, others / spent / (os.cpu_count() or 1)))
            found[name].append(spent / repeats[name])
            bar.update()
        found["others"].append(max(shares))
    bar.close()
    return {name: np.array(values) for name, values in found.items()}


def _busy() -> float:
    """Seconds that all processors have worked; 0 where the system does not tell."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, softirq, _ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def matrix_rate(rounds: int = 5) -> float:
    """FLOP/s of a float32 matrix product on one device, the best of some."""
    size = 2048 if jax.default_backend() == "cpu" else 8192
    a = jnp.ones((size, size))
    product = jax.jit(jnp.matmul)
    return 2 * size**3 / turns({"": lambda: product(a, a).block_until_ready()}, rounds)[""].min()


def forget_peak() -> None:
    """Start the count of peak memory anew, where the system lets us."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory() -> dict[str, int]:
    """Bytes: of this process since `forget_peak`, and of the first device, if it tells."""
    status = Path("/proc/self/status")
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM"):
            peak = 1024 * int(line.split()[1])
    device = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {"process": peak, **({"device": device} if device else {})}


def planned_memory(compiled: Any) -> dict[str, int]:
    """What the compiled program asks of each device, bytes."""
    found, fields = compiled.memory_analysis(), ("argument", "output", "alias", "temp")
    return {name: getattr(found, f"{name}_size_in_bytes") for name in fields}


def report(case: Case, steps: int, rounds: int = 5) -> dict[str, Any]:
    """What `launch.benchmark train` tells of a case, from the median of `rounds` blocks that make
    up `steps`."""
    forget_peak()
    step, block = Step(case), max(1, steps // rounds)
    step.waited()

    def run() -> None:
        for _ in range(block):
            step()
        step.wait()

    found = turns({"step": run}, rounds, seconds=0)
    seconds, rate = float(np.median(found["step"])) / block, matrix_rate()
    return {
        **case.name,
        "devices": jax.device_count(),
        "examples_per_s": case.config.input.batch_size / seconds,
        "step_ms": 1e3 * seconds,
        "compile_s": step.compile_s,
        "peak_bytes": peak_memory(),
        "planned_bytes": planned_memory(step.compiled),
        # Of matrix products alone; XLA's own count has all the rest, but a loop once.
        "flops_a_device": step.flops,
        "compiled_flops_a_device": float(step.compiled.cost_analysis()["flops"]),
        "matrix_flops_per_s": rate,
        "utilisation": step.flops / seconds / rate,
        "others_share": float(np.median(found["others"])),
    }

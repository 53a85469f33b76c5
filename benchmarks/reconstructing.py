"""Ours for `launch.benchmark reconstruct`: photographs to ranked meshes and files.

How long one photograph and a folder take, how that grows with samples, steps and photographs, and
how long `ofer reconstruct` takes from its start to the sheet. `torch_reconstructing` has the
comparison with PyTorch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks import measure
from benchmarks.reconstructing_ours import Stages, crops
from ofer_jax import photos, report
from ofer_jax.reconstruct import Found, Reconstructor

Row = dict[str, Any]
SAMPLES, STEPS, PHOTOGRAPHS = (1, 10, 100, 1000), (10, 20, 50, 100), (1, 4, 16, 64)
FOLDER = 16


def views(paths: Sequence[str | Path], count: int) -> list[photos.Photo]:
    """`count` photographs: those of `paths`, then the same a little darker each time."""
    read = [photos.read(path) for path in paths]
    made = [np.asarray(p.image) for p in read]
    return [
        photos.from_array((made[i % len(made)] * (1 - i / (4 * count))).astype(np.uint8), f"{i}")
        for i in range(count)
    ]


def sides(ours: Reconstructor, photo: photos.Photo, folder: Path) -> dict[str, Callable[[], Any]]:
    """Calls: 'whole' from a found face to the result, each stage of it, and what is around it."""
    found = ours.find(photo)[0]
    result = ours.run([found])[0]
    return {
        "whole": lambda: ours.run([found]),
        "detect": lambda: ours.find(photo),
        **Stages(ours).runs(crops(found)),
        "write": lambda: report.write(result, folder, ours.surface),
    }


def folder(ours: Reconstructor, seen: Sequence[photos.Photo], rounds: int) -> Row:
    """Seconds a photograph of a folder: found, reconstructed and written, and together."""
    with tempfile.TemporaryDirectory() as made:
        places = [Path(made) / str(i) for i in range(len(seen))]
        state: dict[str, Any] = {}

        def find() -> None:
            state["found"] = [ours.find(photo)[0] for photo in seen]

        def run() -> None:
            state["results"] = ours.run(state["found"])

        def write() -> None:
            for result, place in zip(state["results"], places, strict=True):
                report.write(result, place, ours.surface)

        found = measure.turns({"detect": find, "whole": run, "write": write}, rounds)
    row = {f"{k}_s": float(np.median(v)) / len(seen) for k, v in found.items() if k != "others"}
    rest = {"others_share": float(np.median(found["others"]))}
    return {"photographs": len(seen), **row, "fastest_s": found["whole"].min() / len(seen), **rest}


def growth(ours: Reconstructor, found: Found, context: Row, rounds: int) -> list[Row]:
    """Seconds of everything after the encoders, by samples and by steps of both samplers; and of
    everything by photographs (one turn). `context` is what each network is told of the face."""
    rows, key = [], jax.random.key(0)
    sampler = ours.bundle.config["tasks"]["idgen"]["sampler"]
    by_samples = {n: Stages(ours, n, n) for n in SAMPLES}
    by_steps = {n: Stages(ours, sampler={**sampler, "steps": n}) for n in STEPS}
    for name, programs in (("samples", by_samples), ("steps", by_steps)):
        calls = {str(n): _after(stages, context, key) for n, stages in programs.items()}
        rows += _grown(name, measure.turns(calls, rounds))
    runs = {str(n): _of(ours, [replace(found, number=i) for i in range(n)]) for n in PHOTOGRAPHS}
    return rows + _grown("photographs", measure.turns(runs, 1, long=runs))


def _after(stages: Stages, context: Any, key: Any) -> Callable[[], Any]:
    return lambda: stages.after_encoding(context, key)


def _of(ours: Reconstructor, found: Sequence[Found]) -> Callable[[], Any]:
    return lambda: ours.run(found)


def _grown(name: str, found: Mapping[str, np.ndarray]) -> list[Row]:
    others = float(np.median(found["others"]))
    return [
        {"table": f"Growth with {name}", name: int(n), "ours_s": float(np.median(v))}
        | {"fastest_s": float(v.min()), "others_share": others}
        for n, v in found.items()
        if n != "others"
    ]


def starts(photo: str | Path, rounds: int) -> list[Row]:
    """Seconds of `ofer reconstruct` with the embedded bundle, from its start to its end: with an
    empty cache folder, and with what that run left there."""
    found: dict[str, list[float]] = {"first": [], "second": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as made:
            for start in found:
                found[start].append(_started(photo, Path(made)))
    return [
        {"table": "ofer reconstruct, one photograph", "start": start}
        | {"seconds": float(np.median(values)), "fastest_s": min(values)}
        for start, values in found.items()
    ]


def _started(photo: str | Path, work: Path) -> float:
    command = [sys.executable, "-m", "ofer_jax.cli", "reconstruct", str(photo)]
    settings = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    settings["XDG_CACHE_HOME"] = str(work / "cache")
    begun = time.perf_counter()
    done = subprocess.run(
        [*command, "--out", str(work / "out")], env=settings, capture_output=True, text=True
    )
    if done.returncode:
        raise ValueError(f"ofer reconstruct failed: {done.stderr.strip()[-300:]}")
    return time.perf_counter() - begun


def added_memory(run: Callable[[], Any]) -> float:
    """MB that this process had at most while it ran, over what it had before."""
    measure.forget_peak()
    before = measure.peak_memory()["process"]
    run()
    return (measure.peak_memory()["process"] - before) / 1e6

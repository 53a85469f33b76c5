"""Ours beside the published procedure in eager PyTorch: crops of a face to ranked meshes.

Both sides have the same random weights of the published size. Both are timed from the aligned crops
(ours from the photograph and the face found in it) to meshes in memory; finding the face and
writing files is told apart. Sampling is the same work in the published procedure and in its fair
variant, so it is timed once a round for both. With bfloat16 (PyTorch's autocast) the encoders are
timed whole, and of the denoisers' evaluations a PART, which is multiplied.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import measure, reconstructing, torch_agreement
from benchmarks.reconstructing_ours import Stages, bundle_of, crops
from benchmarks.torch_procedure import Laps, Procedure
from ofer_jax import flame, openhead, photos, published
from ofer_jax.reconstruct import Found, Reconstructor

PART = 10  # evaluations of a denoiser timed with bfloat16, and on other numbers of samples
ONE = "One photograph, seconds"
LONG = ("published", "bfloat16: 100 copies")  # called once a turn
STAGES = ("encode", "sample", "rank", "express", "mesh")
Row = dict[str, Any]
Calls = dict[str, Callable[[], Any]]


class Sides:
    """The published procedure and our reconstructor, of the same weights.

    Args:
      shared: all ArcFaces have the same frozen layers, as training leaves them.
      dtype: of our large kernels; None as users get them.
    """

    def __init__(self, shared: bool = True, dtype: str | None = None) -> None:
        torch.manual_seed(0)
        head, surface = flame.load(openhead.head_path()), dict(openhead.surface())
        front = surface["region_front"] = surface["region_front"][: published.FRONT]
        tasks = published.tasks("paper")
        self.procedure = Procedure(tasks, head, front)
        if shared:
            self.procedure.share_trunk()
        made = bundle_of(self.procedure, tasks, head)
        self.ours = Reconstructor(head, made, surface, dtype)


def run(paths: Sequence[str | Path], rounds: int) -> list[Row]:
    """All rows of `launch.benchmark reconstruct` on photographs."""
    seen = reconstructing.views(paths, reconstructing.FOLDER)
    sides = Sides()
    first = sides.ours.find(seen[0])[0]
    agreement = torch_agreement.check(sides.procedure, sides.ours, crops(first))
    rows = one_photograph(sides, seen[0], rounds)
    folder = {"side": "ours", **reconstructing.folder(sides.ours, seen, rounds)}
    context = sides.procedure.encode(tensors(first), copies=1)
    known = {task: value.numpy() for task, value in context.items()}
    grown = reconstructing.growth(sides.ours, first, known, rounds)
    beside(grown, sides.procedure, context)
    del sides  # the next ones take as much memory
    others = {"ours, float32": {"dtype": "float32"}, "ours, three ArcFaces": {"shared": False}}
    given = rows[-1], seen[0], rounds
    rows += [separate(side, *given, **settings) for side, settings in others.items()]
    compare(rows, "total_s", rows[0])
    compare([folder], "whole_s", rows[0])
    folder["table"] = "A folder, seconds a photograph"
    return [*rows, folder, *grown, *reconstructing.starts(paths[0], rounds), *agreement]


def one_photograph(sides: Sides, photo: photos.Photo, rounds: int) -> list[Row]:
    """A row for each way of PyTorch's, and ours; all take turns."""
    face = sides.ours.find(photo)[0]
    given = tensors(face)
    laps: list[Laps] = []
    worked: dict[str, list[float]] = {}
    sides.ours.program(100, 15)  # so that the first run compiles nothing
    first = reconstructing.added_memory(lambda: sides.ours.run([face]))
    memory: dict[str, list[float]] = {"published": [], "ours": [first]}
    with tempfile.TemporaryDirectory() as made:
        calls = {
            **theirs(sides.procedure, given, laps),
            **reconstructing.sides(sides.ours, photo, Path(made)),
        }
        calls["published"] = _watched(calls["published"], memory["published"])
        found = measure.turns(calls, rounds, long=LONG, worked=worked)
    whole = {stage: np.array([lap.seconds[stage] for lap in laps]) for stage in STAGES}
    low = {stage: found[f"bfloat16: {stage}"] for stage in ("sample", "express")}
    low["sample"] *= len(sides.procedure.visited) / PART
    low["express"] *= sides.procedure.steps / PART
    ways = {
        "published": whole,
        "published, bfloat16": whole | low | {"encode": found["bfloat16: 100 copies"]},
        "fair": whole | {"encode": found["one copy"]},
        "fair, bfloat16": whole | low | {"encode": found["bfloat16: one copy"]},
        "ours": _of_ours(found),
    }
    rows = [{"table": ONE, "side": side, **figures(stages)} for side, stages in ways.items()]
    rows[-1] |= {f"{name}_s": float(np.median(found[name])) for name in ("detect", "write")}
    encoding = np.array([lap.worked["encode"] for lap in laps])
    work = {"published": np.array(worked["published"]), "ours": np.array(worked["whole"])}
    work["fair"] = work["published"] - encoding + worked["one copy"]
    for row in rows:
        row["others_share"] = float(np.median(found["others"]))
        if row["side"] in work:
            row["worked_s"] = float(np.median(work[row["side"]]))
        if row["side"] in memory:
            row["added_mb"] = max(memory[row["side"]])
    return rows


def theirs(procedure: Procedure, given: Mapping[str, Any], laps: list[Laps]) -> Calls:
    """PyTorch's calls; the published procedure tells its stages in `laps`."""
    context = procedure.encode(given, copies=1)
    part = of_part(procedure, context, procedure.count)
    return {
        "published": lambda: laps.append(procedure.run(given)),
        "one copy": lambda: procedure.encode(given, copies=1),
        "bfloat16: 100 copies": _low(lambda: procedure.encode(given, procedure.count)),
        "bfloat16: one copy": _low(lambda: procedure.encode(given, copies=1)),
        **{f"bfloat16: {stage}": _low(call) for stage, call in part.items()},
    }


def of_part(procedure: Procedure, context: Mapping[str, Any], count: int) -> Calls:
    """PART evaluations of each denoiser on `count` samples."""
    visited = procedure.visited[:PART]
    return {
        "sample": lambda: procedure.sample(context["idgen"], count, visited),
        "express": lambda: procedure.express(context["expgen"], count, PART),
    }


def separate(side: str, first: Row, photo: photos.Photo, rounds: int, **settings: Any) -> Row:
    """Ours with other settings of `Sides`; of its stages the encoders alone are timed again, the
    others are those of the row `first`."""
    ours = Sides(**settings).ours
    face, stages = ours.find(photo)[0], Stages(ours)
    seen = crops(face)
    calls = {"whole": lambda: ours.run([face]), "encode": lambda: stages("encode", seen)}
    found = measure.turns(calls, rounds)
    found |= {name: np.full(rounds, first[f"{name}_s"]) for name in STAGES if name not in found}
    row = {"table": ONE, "side": side, **figures(_of_ours(found))}
    return {**row, "others_share": float(np.median(found["others"]))}


def _of_ours(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our stages, and what the whole takes beside them: pose, camera, spread, crops, copies."""
    stages = {stage: found[stage] for stage in STAGES}
    return {**stages, "rest": found["whole"] - sum(stages.values())}


def _low(call: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            call()

    return run


def _watched(call: Callable[[], Any], memory: list[float]) -> Callable[[], Any]:
    return lambda: memory.append(reconstructing.added_memory(call))


def figures(stages: Mapping[str, np.ndarray]) -> Row:
    """Medians of the stages and of their sum, and the fastest sum."""
    total = sum(stages.values())
    told = {f"{name}_s": float(np.median(values)) for name, values in stages.items()}
    return {**told, "total_s": float(np.median(total)), "fastest_s": float(np.min(total))}


def compare(rows: Sequence[Row], name: str, published: Row) -> None:
    """Adds how many times faster than `published` each row is: medians, and fastest turns."""
    for row in rows:
        row["times"] = published["total_s"] / row[name]
        row["times_fastest"] = published["fastest_s"] / row["fastest_s"]


def beside(rows: Sequence[Row], procedure: Procedure, context: Mapping[str, Any]) -> None:
    """Adds PyTorch's seconds to the rows that grow with samples: 251 and 1000 evaluations, of which
    a PART is timed and multiplied."""
    for row in (row for row in rows if "samples" in row):
        found = measure.turns(of_part(procedure, context, row["samples"]), 3)
        sample = found["sample"] * len(procedure.visited) / PART
        row["torch_s"] = float(np.median(sample + found["express"] * procedure.steps / PART))


def tensors(face: Found) -> dict[str, Any]:
    """A face's crops for PyTorch."""
    return {name: torch.tensor(crop) for name, crop in crops(face).items()}

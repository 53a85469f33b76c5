"""A benchmark from its pictures to the report: checks, distances, table and curve."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofer_jax import atomic, flame
from ofer_jax.flame import FlameModel
from ofer_jax.now import checks, heads, layout, run, table
from ofer_jax.now.layout import Item, Prediction
from ofer_jax.now.protocol import Settings
from ofer_jax.now.run import Job

PREDICTION, TRUTH = "prediction", "ground truth as its own prediction"


@dataclass(frozen=True)
class Plan:
    """What to measure: pictures with a scan, the folder of the predictions, and how."""

    title: str
    items: Sequence[Item]
    folder: Path
    settings: Settings
    unit: str = ""  # of the predictions: 'mm', 'cm', 'm', or '' if nobody said
    partial: bool = False  # go on without the predictions that are missing
    figures: Sequence[str] = ("median", "mean", "std")


def look(plan: Plan, neutral: checks.Neutral | None = None, workers: int = 0) -> checks.Findings:
    """Everything that is found wrong before it is measured; `neutral` of the head in use.

    Raises:
      ValueError: the folder holds none of the predictions.
    """
    found, missing = layout.predictions(plan.folder, plan.items)
    out = run.check(
        plan.items,
        found,
        unit=plan.unit,
        metrical=plan.settings.metrical,
        neutral=neutral,
        workers=workers,
    )
    if missing:
        count = f"{len(missing)} of {len(plan.items)} pictures have no prediction"
        if plan.partial:
            out.notes.append(f"{count}: figures of a part are not the benchmark's")
        else:
            out.errors += [f"{count}; --partial goes on without them", *missing]
    return out


def evaluate(plan: Plan, head: FlameModel, out: str | Path, workers: int = 0) -> dict[str, Any]:
    """Measures the predictions, the head's mean face and the scans themselves.

    Args:
      plan: what was looked at.
      head: its mean face is a row.
      out: folder of the kept distances (and of the mean face).
      workers: processes; 0 works in this one.

    Returns:
      The report, plain JSON; `rows` {row: {'all' or challenge: {figure: {value, low, high}}}}.

    Raises:
      ValueError: nothing could be measured.
    """
    found, _ = layout.predictions(plan.folder, plan.items)
    items = [item for item in plan.items if item.image in found]
    mean = heads.mean_face(Path(out), head)
    named = f"mean face of {flame.title(head.identity)}"
    jobs = {PREDICTION: [_job(PREDICTION, i.image, i, found[i.image], _unit(plan)) for i in items]}
    # One job a person: it is the same for all pictures.
    people = {item.subject: item for item in items}.values()
    jobs[named] = [_job("mean_face", i.subject, i, mean, checks.UNITS["m"]) for i in people]
    jobs[TRUTH] = [_job("ground_truth", i.subject, i, None, 1.0) for i in people]
    every = [job for several in jobs.values() for job in several]
    done, failed = run.measure(every, Path(out) / "distances", plan.settings, workers=workers)
    names = {
        PREDICTION: {item.image: f"{PREDICTION}/{item.image}" for item in items},
        named: {item.image: f"mean_face/{item.subject}" for item in items},
        TRUTH: {item.image: f"ground_truth/{item.subject}" for item in items},
    }
    pools = {row: _pools(items, names[row], done) for row in jobs}
    shown = {row: several for row, several in pools.items() if several}
    if PREDICTION not in shown:
        raise ValueError(f"nothing could be measured: {next(iter(failed.values()), 'no picture')}")
    notes = [f"failed: {error}" for error in failed.values()]
    return {
        "title": _title(plan, items, people),
        "settings": {**vars(plan.settings), "unit": plan.unit},
        "figures": list(plan.figures),
        "head": head.identity,
        "rows": {row: _figures(several, plan.figures) for row, several in shown.items()},
        "curves": {row: table.curve(several["all"]) for row, several in shown.items()},
        "pictures": len(items),
        "people": len(people),
        "failed": failed,
        "notes": [*_notes(plan, items), *notes],
    }


def write(report: Mapping[str, Any], out: str | Path) -> None:
    """report.json and report.md."""
    atomic.write_text(Path(out) / "report.json", json.dumps(report, indent=1) + "\n")
    atomic.write_text(Path(out) / "report.md", table.text(report) + "\n")


def _job(kind: str, name: str, item: Item, prediction: Prediction | None, unit: float) -> Job:
    assert item.scan and item.landmarks
    return Job(f"{kind}/{name}", item.scan, item.landmarks, prediction, unit)


def _unit(plan: Plan) -> float:
    return checks.UNITS[plan.unit] if plan.unit else 1.0


def _pools(
    items: Sequence[Item], names: Mapping[str, str], done: Mapping[str, Any]
) -> dict[str, table.Pool]:
    """Of all pictures, and of each challenge if there are several."""
    there = [item for item in items if names[item.image] in done]
    if not there:
        return {}
    groups = {"all": there}
    challenges = list(dict.fromkeys(item.challenge for item in items))
    for name in challenges if len(challenges) > 1 else []:
        groups[name] = [item for item in there if item.challenge == name]
    return {
        name: table.Pool([done[names[i.image]] for i in group], [i.subject for i in group])
        for name, group in groups.items()
        if group
    }


def _figures(pools: Mapping[str, table.Pool], wanted: Sequence[str]) -> dict[str, Any]:
    found = {name: table.figures(pool) for name, pool in pools.items()}
    return {name: {f: cells[f] for f in wanted} for name, cells in found.items()}


def _title(plan: Plan, items: Sequence[Item], people: Any) -> str:
    way = "metrical" if plan.settings.metrical else "scale-free"
    return f"{plan.title}, {way}: {len(items)} pictures of {len(people)} people, millimetres"


def _notes(plan: Plan, items: Sequence[Item]) -> list[str]:
    notes = [
        "Distances of the scans' vertices to the surface, of all pictures pooled; brackets: 95 % "
        "bootstrap interval over people."
    ]
    if len(items) < len(plan.items):
        notes.append(
            f"Only {len(items)} of {len(plan.items)} pictures: no figures of the benchmark."
        )
    if not plan.settings.refine:
        notes.append("Aligned by the 7 landmarks alone.")
    return notes

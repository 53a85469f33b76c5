"""The table of `launch.evaluate`: figures of single pictures to ratios with bootstrap intervals.

A ratio is mean error / mean error of the mean face (expressions: of the neutral face), each mean
over all held-out pictures. Intervals are 95 % percentile bootstrap ones that resample faces, a face
with both its pictures.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ofer_jax import metrics
from ofer_jax.arrays import Float, Int
from ofer_jax.metrics import Estimate, Figures

IDENTITY = (
    "mean face",
    "deterministic regressor",
    "average sample",
    "mean of the samples",
    "medoid",
    "nearest to the mean",
    "ranked",
    "oracle",
)
EXPRESSION = ("neutral face", "mean of the samples", "closest")
Row = dict[str, dict[str, float]]


def report(
    figures: Mapping[str, Figures],
    *,
    subject: Int[np.ndarray, "N"],
    about: Mapping[str, Any],
    seed: int = 0,
    rounds: int = 2000,
) -> dict[str, Any]:
    """All of the table as plain JSON: {**about, 'clean': {row: ...}, 'occluded': {row: ...}}.

    Args:
      figures: of `evaluate.evaluate`, metres.
      subject: the face of each picture; those of one face are resampled together.
      about: whatever should stand beside the figures: head, bundle, command, sizes.
      seed: of the bootstrap.
      rounds: of the bootstrap.
    """
    weights = metrics.resamples(subject, seed=seed, rounds=rounds)
    sides = {side: _side(found, weights) for side, found in figures.items()}
    wider = figures["occluded"]["spread"] > figures["clean"]["spread"]
    share = _ratio({"wider": wider, "all": np.ones(len(wider))}, "wider", "all", weights)
    sides["occluded"]["wider than the clean twin"] = {"ratio": share._asdict()}
    faces = len(np.unique(subject))
    return {**about, "pictures": len(subject), "faces": faces, "bootstrap_rounds": rounds} | sides


def _side(figures: Figures, weights: Float[np.ndarray, "R N"]) -> dict[str, Row]:
    there = [name for name in IDENTITY if name in figures]  # not all have a regressor
    rows = {name: _error(figures, name, "mean face", weights) for name in there}
    gap = metrics.estimate(_gap, figures, weights)
    rows["recovered gap"] = {"ratio": gap._asdict()}
    rows["calibration"] = {"ratio": _ratio(figures, "spread", "miss", weights)._asdict()}
    for name in EXPRESSION:
        full = f"expression/{name}"
        rows[full] = _error(figures, full, "expression/neutral face", weights)
    return rows


def _gap(sums: Figures) -> Float[np.ndarray, "R"]:
    return metrics.recovered_gap(sums["average sample"], sums["ranked"], sums["oracle"])


def _error(figures: Figures, name: str, base: str, weights: Float[np.ndarray, "R N"]) -> Row:
    millimetres = {"error": 1e3 * figures[name], "all": np.ones(len(figures[name]))}
    return {
        "mm": _ratio(millimetres, "error", "all", weights)._asdict(),
        "ratio": _ratio(figures, name, base, weights)._asdict(),
    }


def _ratio(figures: Figures, top: str, bottom: str, weights: Float[np.ndarray, "R N"]) -> Estimate:
    return metrics.estimate(lambda sums: sums[top] / sums[bottom], figures, weights)


# ---------------------------------------------------------------- printing


def table(found: Mapping[str, Any]) -> str:
    """The report as one Markdown table, with a line on what it is of."""
    head = ("", "clean, mm", "clean, ratio", "occluded, mm", "occluded, ratio")
    rows = [head, ("---",) * len(head)]
    there = [name for name in IDENTITY if name in found["clean"]]
    rows += [_line(found, name) for name in (*there, "recovered gap", "calibration")]
    rows.append(_line(found, "wider than the clean twin"))
    rows += [_line(found, f"expression/{name}") for name in EXPRESSION]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
    notes = [NOTES, *caveats(found)]
    return "\n".join([_title(found), "", *(f"{line} |" for line in lines), "", *notes])


def caveats(found: Mapping[str, Any]) -> list[str]:
    """What has to be said of figures made with the head of a report."""
    return [ARTIST] if found["head"]["name"].startswith("open-head") else []


NOTES = """\
Brackets: 95 % bootstrap interval over faces. Ratio: to the mean face's error, of the means over all
pictures; in the expression rows to the neutral face's. Recovered gap: (average - ranked) /
(average - oracle). Calibration: spread variance / squared error of the mean of the samples.
Expression rows: face posed by expression and jaw, no global rotation, true identity in all rows."""
ARTIST = "An artist's head space, not scans: these millimetres are no accuracy on people."


def _title(found: Mapping[str, Any]) -> str:
    head = found["head"]
    return (
        f"{head['name']} ({head['sha256'][:12]}), bundle {found['bundle'][:12]}: "
        f"{found['faces']} held-out faces, {found['pictures']} pictures clean and occluded, "
        f"{found['samples']} samples, {found['expressions']} expressions, seed {found['seed']}"
    )


def _line(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    rows = [found[side].get(name, {}) for side in ("clean", "occluded")]
    cells = [_cell(row.get(unit)) for row in rows for unit in ("mm", "ratio")]
    return (_label(found, name), *cells)


def _label(found: Mapping[str, Any], name: str) -> str:
    kind, _, last = name.rpartition("/")
    if last == "oracle":
        return f"oracle of {found['samples']}"
    if last == "closest":
        last = f"closest of {found['expressions']}"
    return f"{kind}: {last}" if kind else last


def _cell(value: Mapping[str, float] | None) -> str:
    if value is None:
        return ""
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"

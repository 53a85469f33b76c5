"""The figures of `figures.measure` as JSON, as Markdown tables and as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax import metrics, plots
from ofer_jax.arrays import Float, Int
from ofer_jax.evaluate import SIDES
from ofer_jax.occluded_expressions.figures import KINDS, Measured, Sums
from ofer_jax.photo_checks.report import ARTIST, cell, markdown

ENOUGH = 20  # vertices of both kinds that a picture needs for its growth to count
ERRORS = ("mean face", "mean", "all", "closest")
COVERED = ("in 50", "in 90")
NOTES = """\
Brackets: 95 % bootstrap interval over faces, a face with both its pictures; means over vertices of
all pictures. Groups are those of the occluded picture, in both columns: visible and hidden vertices
look at the camera, hidden ones lie behind the occluder (its edge and shadow count), away are turned
from the camera. Kinds: whole (posed face), expression (posed, true shape), identity (neutral face).
Errors in mm after a rigid alignment over the face; closest: the one sample with the least error of
the face. Spread: root of the variance over samples, mm. In 50, in 90: share of the coordinates of
the truth within the samples' central 50 % and 90 %. Variance / miss: spread variance / squared
error of the mean of the samples, 1 where samples are as wide as they are wrong. Percentile: of the
Mahalanobis distance among real coefficients; 50 on average for plausible samples."""


def report(
    measured: Measured,
    *,
    subject: Int[np.ndarray, "N"],
    about: Mapping[str, Any],
    truth: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    rounds: int = 2000,
) -> dict[str, Any]:
    """All as plain JSON: {**about, 'figures': {side: {kind: {group: {name: estimate}}}}, 'growth',
    'plausibility'}.

    Args:
      measured: of `figures.measure`.
      subject: the face of each picture.
      about: what stands beside the figures: protocol, head, bundle, command.
      truth: percentiles of the true faces [N], as `measured.distances` has the samples'.
      seed, rounds: of the bootstrap.
    """
    weights = metrics.resamples(subject, seed=seed, rounds=rounds)
    figures = {
        side: {kind: _of_kind(sums, measured.groups, weights) for kind, sums in kinds.items()}
        for side, kinds in measured.figures.items()
    }
    growth = {kind: _growth(measured, kind, weights) for kind in KINDS}
    shown = {"pictures": len(subject), "faces": len(np.unique(subject)), "groups": measured.groups}
    plausible = {
        side: {name: _plausible(values, weights) for name, values in found.items()}
        for side, found in (measured.distances | ({"truth": truth} if truth else {})).items()
    }
    found = {"figures": figures, "growth": growth, "plausibility": plausible}
    return {**about, **shown, "bootstrap_rounds": rounds, **found}


def _of_kind(sums: Sums, groups: tuple[str, ...], weights: np.ndarray) -> dict[str, Any]:
    return {
        group: _of_group({name: values[:, i] for name, values in sums.items()}, weights)
        for i, group in enumerate(groups)
        if sums["count"][:, i].sum()
    }


def _of_group(sums: Mapping[str, np.ndarray], weights: Float[np.ndarray, "R N"]) -> dict[str, Any]:
    def ratio(top: str, bottom: str = "count", unit: float = 1.0) -> dict[str, float]:
        found = metrics.estimate(lambda s: unit * s[top] / s[bottom], dict(sums), weights)
        return found._asdict()

    wide = metrics.estimate(lambda s: 1e3 * np.sqrt(s["spread"] / s["count"]), dict(sums), weights)
    return {
        **{name: ratio(name, unit=1e3) for name in ERRORS},
        **{name: ratio(name) for name in COVERED},
        "spread": wide._asdict(),
        "variance / miss": ratio("spread", "miss"),
        "vertices": int(sums["count"].sum()),
    }


def _growth(measured: Measured, kind: str, weights: Float[np.ndarray, "R N"]) -> dict[str, Any]:
    """In how many pictures the occluder widens hidden vertices by a larger factor than visible."""
    clean, hidden = (measured.figures[side][kind] for side in SIDES)
    visible, behind = (measured.groups.index(name) for name in ("visible", "hidden"))
    enough = (hidden["count"][:, [visible, behind]] >= ENOUGH).all(1)
    factor = np.sqrt(hidden["spread"] / np.where(clean["spread"] > 0, clean["spread"], np.nan))
    more = np.where(enough, factor[:, behind] > factor[:, visible], False)
    out: dict[str, Any] = {"pictures": int(enough.sum())}
    if enough.any():
        counts = {"more": more.astype(float), "all": enough.astype(float)}
        share = metrics.estimate(lambda s: s["more"] / np.maximum(s["all"], 1), counts, weights)
        medians = [float(np.median(factor[enough, i])) for i in (visible, behind)]
        out |= {"share": share._asdict(), "visible": medians[0], "hidden": medians[1]}
    return out


def _plausible(values: np.ndarray, weights: Float[np.ndarray, "R N"]) -> dict[str, Any]:
    each = np.asarray(values, float).reshape(len(values), -1)
    named = {"mean": each, "above 95": 100.0 * (each > 95), "above 99": 100.0 * (each > 99)}
    counts = {name: value.mean(1) for name, value in named.items()} | {"all": np.ones(len(each))}
    return {
        name: metrics.estimate(lambda s, n=name: s[n] / s["all"], counts, weights)._asdict()
        for name in named
    }


# ---------------------------------------------------------------- printing


def table(found: Mapping[str, Any]) -> str:
    """All of a report as Markdown."""
    head = found["head"]
    lines = [
        f"{found['protocol']}, {head['name']} ({head['sha256'][:12]}), bundle "
        f"{found['bundle'][:12]}: {found['faces']} faces, {found['pictures']} pictures clean and "
        f"occluded, {found['samples']} samples, seed {found['seed']}"
    ]
    for kind in KINDS:
        lines += ["", *_of_table(found, kind)]
    lines += ["", *_growth_table(found), "", *_plausibility_table(found)]
    notes = [NOTES, ARTIST] if head["name"].startswith("open-head") else [NOTES]
    return "\n".join([*lines, "", *notes])


def _of_table(found: Mapping[str, Any], kind: str) -> list[str]:
    columns = (*ERRORS, "spread", *COVERED, "variance / miss")
    rows: list[tuple[str, ...]] = [(f"{kind}", *columns)]
    for side in SIDES:
        for group, values in found["figures"][side][kind].items():
            rows.append((f"{side}: {group}", *(cell(values[name]) for name in columns)))
    return markdown(rows)


def _growth_table(found: Mapping[str, Any]) -> list[str]:
    head = ("spread, occluded / clean", "pictures", "visible", "hidden", "grows more on hidden")
    rows: list[tuple[str, ...]] = [head]
    for kind, values in found["growth"].items():
        if "share" in values:
            medians = [f"{values[name]:.3f}" for name in ("visible", "hidden")]
            rows.append((kind, str(values["pictures"]), *medians, cell(values["share"])))
        else:
            rows.append((kind, "0", "", "", ""))
    return markdown(rows)


def _plausibility_table(found: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = [("plausibility", "percentile", "above 95, %", "above 99, %")]
    for side, kinds in found["plausibility"].items():
        for name, values in kinds.items():
            rows.append((f"{side}: {name}", *(cell(value) for value in values.values())))
    return markdown(rows)


def draw(found: Mapping[str, Any], path: str | Path) -> None:
    """Spread and error of each group, clean beside occluded, and what is covered, as PNG."""
    made, (left, right) = plots.figure(columns=2)
    groups = [g for g in found["groups"] if g in found["figures"]["occluded"]["whole"]]
    place = np.arange(len(groups))
    for number, side in enumerate(SIDES):
        rows = [found["figures"][side]["whole"][group] for group in groups]
        for name, shade in (("closest", 0.4), ("spread", 0.9)):
            values = [row[name]["value"] for row in rows]
            start = place + 0.4 * number + (0.2 if name == "spread" else 0)
            left.bar(start, values, 0.18, color=f"C{number}", alpha=shade, label=f"{side}: {name}")
        for name, mark in (("in 50", "o"), ("in 90", "s")):
            values = [row[name]["value"] for row in rows]
            right.plot(values, place, mark, color=f"C{number}", label=f"{side}: {name} %")
    left.set_xticks(place + 0.3, groups, rotation=30, ha="right")
    left.set_ylabel("whole face, mm")
    for share in (0.5, 0.9):
        right.axvline(share, color="grey", linestyle="--")
    right.set_yticks(place, groups)
    right.set_xlabel("share of the truth within the samples' central regions")
    left.legend(fontsize=7)
    right.legend(fontsize=7)
    plots.save(made, path)

"""The figures of `ranking` as JSON, as Markdown tables and as curves over N."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax import metrics, plots
from ofer_jax.arrays import Float, Int
from ofer_jax.metrics import Estimate, Figures
from ofer_jax.photo_checks.report import ARTIST, cell, markdown
from ofer_jax.ranking import ORDERS, RIVAL, ROWS

CHOSEN = ("mean of the samples", *ORDERS)  # whose share of the gap is told, with the rivals'
BASE = "nearest to the mean"  # the trivial choice that a ranker has to beat
DIFFERENCE = f"ranked - {BASE}"
NOTES = f"""\
Brackets: 95 % bootstrap interval over faces, a face with both its pictures. Errors in mm: mean
distance over the face of the neutral head after a rigid alignment. Share: (average - chosen) /
(average - oracle), of the means over pictures; the mean of the samples is no sample, its share may
exceed 1. "{DIFFERENCE}": difference of both shares on the same lists. Ranked by
another: that bundle's ranker, on the same lists. NDCG: gains (worst - error) / (worst - best), 1 is
the best order. Top-1: how often the best sample is chosen."""


def report(
    figures: Mapping[str, Mapping[int, Figures]],
    *,
    subject: Int[np.ndarray, "P"],
    about: Mapping[str, Any],
    seed: int = 0,
    rounds: int = 2000,
) -> dict[str, Any]:
    """All as plain JSON: {**about, 'clean': {'N': {'mm', 'share', 'ndcg', 'top1'}}, 'occluded'}.

    Args:
      figures: of `ranking.measure`, metres.
      subject: the face of each picture; those of one face are resampled together.
      about: what stands beside the figures: head, bundle, command.
      seed, rounds: of the bootstrap.
    """
    weights = metrics.resamples(subject, seed=seed, rounds=rounds)
    sides = {
        side: {str(size): _of_size(found, weights) for size, found in sizes.items()}
        for side, sizes in figures.items()
    }
    faces = len(np.unique(subject))
    return {**about, "pictures": len(subject), "faces": faces, "bootstrap_rounds": rounds} | sides


def _of_size(figures: Figures, weights: Float[np.ndarray, "R P"]) -> dict[str, Any]:
    every = {**figures, "all": np.ones(len(figures["oracle"]))}

    def mean(name: str, unit: float = 1.0) -> dict[str, float]:
        return metrics.estimate(lambda s: unit * s[name] / s["all"], every, weights)._asdict()

    def share(sums: Figures, name: str) -> Float[np.ndarray, "R"]:
        return metrics.recovered_gap(sums["average sample"], sums[name], sums["oracle"])

    def estimate(statistic: Any) -> dict[str, float]:
        found: Estimate = metrics.estimate(statistic, every, weights)
        return found._asdict()

    rivals = [name for name in figures if name.startswith(RIVAL)]
    shares = {name: estimate(lambda s, n=name: share(s, n)) for name in (*CHOSEN, *rivals)}
    for base in (BASE, *rivals):
        shares[f"ranked - {base}"] = estimate(lambda s, b=base: share(s, "ranked") - share(s, b))
    ordered = ("random", *ORDERS, *rivals)
    rows = (*ROWS[:-1], *rivals, ROWS[-1])  # the oracle last
    return {
        "mm": {name: mean(name, 1e3) for name in rows if name in figures},
        "share": shares,
        "ndcg": {name: mean(f"ndcg/{name}") for name in ordered},
        "top1": {name: mean(f"top1/{name}") for name in ordered},
    }


def table(found: Mapping[str, Any]) -> str:
    """Two tables a side: everything at the N nearest to 100, and the shares for every N."""
    head, main = found["head"], main_size(found)
    lines = [
        f"{head['name']} ({head['sha256'][:12]}), bundle {found['bundle'][:12]}: "
        f"{found['faces']} held-out faces, {found['pictures']} pictures clean and occluded, "
        f"seed {found['seed']}"
        + "".join(f", against {n} ({sha[:12]})" for n, sha in found.get("against", {}).items())
    ]
    for side in ("clean", "occluded"):
        lines += ["", *_whole(found[side][main], side, main), "", *_curve(found[side], side)]
    notes = [NOTES, ARTIST] if head["name"].startswith("open-head") else [NOTES]
    return "\n".join([*lines, "", *notes])


def main_size(found: Mapping[str, Any]) -> str:
    """The number of samples nearest to 100."""
    return min(found["clean"], key=lambda size: abs(int(size) - 100))


def _whole(values: Mapping[str, Any], side: str, size: str) -> list[str]:
    head = (f"{side}, N = {size}", "error, mm", "share of the gap", "NDCG", "top-1")
    rows: list[tuple[str, ...]] = [head]
    for name in dict.fromkeys((*values["mm"], *values["share"])):  # the differences last
        parts = [cell(values[part].get(name)) for part in ("mm", "share", "ndcg", "top1")]
        rows.append((name, *parts))
    return markdown(rows)


def _curve(sizes: Mapping[str, Any], side: str) -> list[str]:
    names = list(next(iter(sizes.values()))["share"])
    rows: list[tuple[str, ...]] = [(f"{side}, share", *names)]
    for size, values in sizes.items():
        rows.append((f"N = {size}", *(cell(values["share"][name]) for name in names)))
    return markdown(rows)


def draw(found: Mapping[str, Any], path: str | Path) -> None:
    """Errors and shares over N, clean solid and occluded dashed, as PNG."""
    made, (errors, shares) = plots.figure(columns=2)
    for side, line in (("clean", "-"), ("occluded", "--")):
        sizes = [int(size) for size in found[side]]
        each = list(found[side].values())
        rows = [name for name in each[0]["mm"] if name not in ("mean face", "random")]
        for number, name in enumerate(rows):
            values = [v["mm"][name]["value"] for v in each]
            label = name if side == "clean" else None
            errors.plot(sizes, values, line, color=f"C{number}", label=label)
            if name in each[0]["share"]:
                parts = [[v["share"][name][k] for v in each] for k in ("value", "low", "high")]
                shares.plot(sizes, parts[0], line, color=f"C{number}", label=label)
                shares.fill_between(sizes, parts[1], parts[2], color=f"C{number}", alpha=0.15)
    for axis, title in ((errors, "error, mm"), (shares, "share of the gap recovered")):
        axis.set(xscale="log", xlabel="samples N", ylabel=title)
        axis.legend(fontsize=7)
    errors.set_title(f"{found['head']['name']}: clean solid, occluded dashed", fontsize=9)
    plots.save(made, path)

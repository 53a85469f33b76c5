"""The figures of photographs as Markdown tables, and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROWS = {"mean": "mean of the samples", "ranked": "ranked"}
NOTES = """\
Brackets: 95 % bootstrap interval over photographs. Area: probability that a photograph, changed but
for its face, gives a nearer face than another photograph does; answers from one seed, mirrored ones
mirrored back, distance after a rigid alignment over the face. Spread: mean distance between the
answers for different photographs, as a share of that between held-out heads; of a constant answer
it is 0. First: how often the nearest photograph is the own one. Reprojection: camera fitted and
expression chosen on every other visible detected point, error on the rest, percent of the eye
distance; the mean face gets the same fit and choice. Only photographs in which the detector is sure
of a face. Detected points are no truth: the last table, where there is one, shows what the true
form scores."""
ARTIST = "Made with an artist's head space, not scans: these millimetres are no accuracy on people."


def table(found: Mapping[str, Any]) -> str:
    """All of a report as Markdown, with a line on what it is of."""
    head = found["head"]
    lines = [
        f"{head['name']} ({head['sha256'][:12]}), bundle {found['bundle'][:12]}: "
        f"{len(found['photographs'])} photographs, {len(found['no face'])} more without a face, "
        f"{found['samples']} samples, {found['expressions']} expressions, seed {found['seed']}",
        "",
        *_consistency(found["consistency"]),
        "",
        *_reprojection(found["reprojection"]),
    ]
    if "held-out pictures" in found:
        lines += ["", "The same on pictures of held-out heads, whose form is known:", ""]
        lines += _reprojection(found["held-out pictures"])
        share, own = found["held-out pictures"]["spread"], found["consistency"]["mean"]["spread"]
        lines += [
            "",
            f"Spread of the answers (means of the samples) for these pictures / these heads': "
            f"{share:.3f}; for the photographs / for these pictures: {own['value'] / share:.3f}",
        ]
    notes = [NOTES, ARTIST] if head["name"].startswith("open-head") else [NOTES]
    return "\n".join([*lines, "", *notes])


def markdown(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of cells, the first one the head, as lines of equal length."""
    rows = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    cells = ([c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in rows)
    return ["| " + " | ".join(row) + " |" for row in cells]


def cell(value: Mapping[str, float] | None) -> str:
    """An estimate with its interval."""
    if value is None:
        return ""
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _consistency(figures: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("consistency", "area", "same, mm", "other, mm", "first", "lost")
    ]
    for key, name in ROWS.items():
        own = figures[key]
        rows.append((f"{name}: all", cell(own["area"]), "", "", "", ""))
        for variant, values in own["variants"].items():
            means = [_number(values[part]) for part in ("same_mm", "other_mm", "first")]
            rows.append((f"{name}: {variant}", cell(values["area"]), *means, str(values["lost"])))
        rows.append((f"{name}: spread / heads'", cell(own["spread"]), "", "", "", ""))
    return markdown(rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _reprojection(figures: Mapping[str, Any]) -> list[str]:
    if not figures["photographs"]:
        return ["No photograph in which the detector is sure of a face: no reprojection."]
    title = f"reprojection, {figures['photographs']} pictures"
    rows: list[tuple[str, ...]] = [(title, "% of the eye distance", "ratio to the mean face")]
    for name, values in figures["rows"].items():
        rows.append((name, cell(values["percent"]), cell(values["ratio"])))
    return markdown(rows)


def draw(found: Mapping[str, Any], path: str | Path) -> None:
    """The distances and the errors of each photograph, as a picture."""
    from ofer_jax import plots

    names = found["photographs"]
    figure, axes = plots.figure(columns=2, height=1.5 + 0.28 * len(names))
    own = found["consistency"]["mean"]
    for variant, same in own["same_mm"].items():
        axes[0].plot(same, np.arange(len(names)), "o", label=variant, alpha=0.8)
    other = np.mean([v["other_mm"] for v in own["variants"].values() if v["other_mm"] is not None])
    axes[0].axvline(other, color="grey", linestyle="--", label="other photographs, mean")
    axes[0].set_xlabel("distance to the unchanged photograph's face, mm")
    axes[0].set_yticks(range(len(names)), [name[:28] for name in names])
    axes[0].legend(fontsize=7)
    again = found["reprojection"]
    for name, values in again.get("percent", {}).items():
        axes[1].plot(values, np.arange(len(values)), "o", label=name, alpha=0.8)
    axes[1].set_yticks(range(len(again.get("of", ()))), [n[:28] for n in again.get("of", ())])
    axes[1].set_xlabel("error on points left out, % of the eye distance")
    axes[1].legend(fontsize=7)
    plots.save(figure, path)

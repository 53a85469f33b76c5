"""The picture of `launch.benchmark reconstruct`: stages as bars, and growth as curves."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ofer_jax import atomic

Row = Mapping[str, Any]
STAGES = ("encode", "sample", "rank", "express", "mesh", "rest")
COLOURS = dict(zip(STAGES, matplotlib.color_sequences["tab10"], strict=False))
GROWTH = {
    "samples": "shapes, and as many expressions*",
    "steps": "steps of 100 shapes and 15 expressions*",
    "photographs": "photographs (* after encoding)",
}


def reconstruct(rows: Sequence[Row], path: str | Path) -> None:
    """Draws the rows of `torch_reconstructing.run` into a PNG file."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    grid = figure.add_gridspec(2, 3)
    ways = [row for row in rows if "total_s" in row]
    whole = figure.add_subplot(grid[0, :2])
    bars(whole, ways, "One photograph, crops to meshes")
    whole.legend(loc="lower right")
    ours = [row for row in ways if row["side"].startswith("ours")]
    bars(figure.add_subplot(grid[0, 2]), ours, "Ours, closer")
    published = next(row["total_s"] for row in ways if row["side"] == "published")
    for i, (name, label) in enumerate(GROWTH.items()):
        axes = figure.add_subplot(grid[1, i])
        curve(axes, [row for row in rows if row.get("table") == f"Growth with {name}"], name)
        if name == "photographs":
            numbers = np.array([row[name] for row in rows if name in row and "ours_s" in row])
            axes.plot(numbers, published * numbers, "--", color="grey", label="published, one each")
            axes.legend()
        axes.set(xlabel=label, ylabel="seconds")
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=110)
        atomic.write_bytes(path, file.getvalue())


def bars(axes: Axes, ways: Sequence[Row], title: str) -> None:
    """A bar for each way, of its stages one after the other; the total beside it."""
    names = [row["side"] for row in ways]
    left = np.zeros(len(ways))
    for stage in STAGES:
        width = np.array([max(row.get(f"{stage}_s", 0.0), 0.0) for row in ways])
        axes.barh(names, width, left=left, label=stage, color=COLOURS[stage])
        left += width
    for place, row in zip(left, ways, strict=True):
        axes.text(place, row["side"], f" {row['total_s']:.3g} s", va="center")
    axes.set(title=title, xlabel="seconds", xlim=(0, 1.3 * left.max()))
    axes.invert_yaxis()


def curve(axes: Axes, rows: Sequence[Row], name: str) -> None:
    """Seconds against a number, both logarithmic."""
    lines = ("torch_s", "PyTorch, 251 + 1000 steps", "grey"), ("ours_s", "ours", "tab:blue")
    for key, label, colour in lines:
        told = [(row[name], row[key]) for row in rows if key in row]
        if told:
            axes.loglog(*zip(*told, strict=True), "o-", label=label, color=colour)
    axes.grid(alpha=0.3)
    axes.legend()

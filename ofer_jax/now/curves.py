"""The cumulative error curve as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofer_jax import plots


def draw(report: Mapping[str, Any], path: str | Path) -> None:
    """The share of distances below each error, a curve for each row of the report.

    Raises:
      ValueError: matplotlib is not installed.
    """
    made, (axis,) = plots.figure(height=4.5, width=7.0)
    for row, points in report["curves"].items():
        axis.plot(*zip(*points, strict=True), label=row)
    axis.set(xlabel="distance, mm", ylabel="share of the scans' vertices, %")
    axis.set(xlim=(0, None), ylim=(0, 1), title=report["title"])
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    axis.legend(loc="lower right")
    plots.save(made, path)

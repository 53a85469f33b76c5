"""The curve of `launch.sampling`: distance and spread against the number of steps."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ofer_jax import atomic, sampling_quality

TITLES = {"idgen": "IdGen, shapes", "expgen": "ExpGen, expressions"}


def curves(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws the rows of the first table into a PNG file."""
    tasks, samplers = (list(dict.fromkeys(row[key] for row in rows)) for key in ("task", "sampler"))
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots(2, len(tasks), squeeze=False, sharex=True)
    for (top, bottom), task in zip(axes.T, tasks, strict=True):
        there = [row for row in rows if row["task"] == task]
        floor, near = there[0]["floor"], sampling_quality.WITHIN
        top.axhspan(floor["low"], floor["high"], color="0.85", label="DDPM from DDPM")
        bottom.axhspan(1 - near, 1 + near, color="0.85", label="3 %")
        for sampler in samplers:
            chosen = [row for row in there if row["sampler"] == sampler]
            steps = [row["steps"] for row in chosen]
            for axis, found in (
                (top, [row["distance"] for row in chosen]),
                (bottom, [row["spread"]["overall"] for row in chosen]),
            ):
                values = [each["value"] for each in found]
                away = [
                    [abs(each[end] - each["value"]) for each in found] for end in ("low", "high")
                ]
                axis.errorbar(steps, values, yerr=away, marker="o", capsize=3, label=sampler)
        top.set(title=TITLES[task], ylabel="energy distance to DDPM")
        top.set_yscale("symlog", linthresh=1e-3)
        bottom.set(xlabel="network evaluations", ylabel="spread / DDPM's", ylim=(0.8, 1.2))
        bottom.set_xscale("log")
        ticks = sorted({row["steps"] for row in there})
        bottom.set_xticks(ticks, labels=map(str, ticks), minor=False)
        bottom.minorticks_off()
        top.legend()
        bottom.legend()
    with io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=110)
        atomic.write_bytes(path, file.getvalue())

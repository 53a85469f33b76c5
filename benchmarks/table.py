"""Figures as a table to be read."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import jax

Row = Mapping[str, Any]
AGREEMENT = (
    *(f"{task}: context" for task in ("idgen", "idrank", "expgen")),
    *("idgen: noise", "expgen: noise", "meshes", "scores"),
)
COLUMNS: dict[str, Callable[[Row], str | None]] = {
    "task": lambda r: (
        r["task"] + (f" ({r['candidates']})" if "candidates" in r else "") if "task" in r else None
    ),
    "features": lambda r: _told(r, "features", "{}"),
    "size": lambda r: _told(r, "size", "{}"),
    "batch": lambda r: _told(r, "batch", "{}"),
    "hidden": lambda r: _told(r, "hidden", "{:.0%}"),
    "workers": lambda r: _told(r, "workers", "{}"),
    "devices": lambda r: _told(r, "devices", "{}"),
    "frames": lambda r: _told(r, "frames", "{}"),
    "meshes/s": lambda r: _told(r, "meshes_per_s", "{:,.0f}"),
    "CPU ms a mesh": lambda r: _told(r, "cpu_ms_a_mesh", "{:.1f}"),
    "residual, mm": lambda r: _told(r, "residual_mm", "{:.3f}"),
    "worst mesh": lambda r: _told(r, "worst_mm", "{:.3f}"),
    "neutral face, mm": lambda r: _told(r, "neutral_mm", "{:.3f}"),
    "worst subject": lambda r: _told(r, "worst_neutral_mm", "{:.3f}"),
    "examples/s": lambda r: _told(r, "examples_per_s", "{:,.0f}"),
    "CPU ms an example": lambda r: _told(r, "cpu_ms_an_example", "{:.3f}"),
    "vertices/s": lambda r: _told(r, "vertices_per_s", "{:,.0f}"),
    "of the product": lambda r: _told(r, "of_product", "{:.2f}"),
    "ms a step": lambda r: _told(r, "step_ms", "{:,.1f}"),
    "compile s": lambda r: _told(r, "compile_s", "{:.1f}"),
    "peak MB": lambda r: _megabytes(r.get("peak_bytes")),
    "planned MB": lambda r: _megabytes(r.get("planned_bytes")),
    "GFLOP a device": lambda r: _told(r, "flops_a_device", "{:,.2f}", 1e-9),
    "of matrix product": lambda r: _told(r, "utilisation", "{:.0%}"),
    "MB in collectives": lambda r: _megabytes(r.get("collective_bytes")),
    "way": lambda r: _told(r, "side", "{}"),
    "samples": lambda r: _told(r, "samples", "{:,}"),
    "steps": lambda r: _told(r, "steps", "{:,}"),
    "photographs": lambda r: _told(r, "photographs", "{:,}"),
    "start": lambda r: _told(r, "start", "{}"),
    "in s": lambda r: _told(r, "seconds", "{:.2f}"),
    "detect": lambda r: _told(r, "detect_s", "{:.3f}"),
    "encode": lambda r: _told(r, "encode_s", "{:.3f}"),
    "sample": lambda r: _told(r, "sample_s", "{:.3f}"),
    "rank": lambda r: _told(r, "rank_s", "{:.3f}"),
    "express": lambda r: _told(r, "express_s", "{:.3f}"),
    "mesh": lambda r: _told(r, "mesh_s", "{:.3f}"),
    "rest": lambda r: _told(r, "rest_s", "{:.3f}"),
    "crops to meshes": lambda r: _told(r, "total_s", "{:.3f}") or _told(r, "whole_s", "{:.3f}"),
    "fastest": lambda r: _told(r, "fastest_s", "{:.3f}"),
    "processor, s": lambda r: _told(r, "worked_s", "{:.2f}"),
    "write": lambda r: _told(r, "write_s", "{:.3f}"),
    "ours, s": lambda r: _told(r, "ours_s", "{:.3f}"),
    "PyTorch, s": lambda r: _told(r, "torch_s", "{:.2f}"),
    "times faster than published": lambda r: _told(r, "times", "{:.1f}"),
    "MB more": lambda r: _told(r, "added_mb", "{:,.0f}"),
    "ours, ms": lambda r: _told(r, "ours_ms", "{:,.1f}"),
    "PyTorch, ms": lambda r: _told(r, "torch_ms", "{:,.1f}"),
    "ratio": lambda r: _told(r, "ratio", "{:.2f}"),
    "when quiet": lambda r: _told(r, "ratio_when_quiet", "{:.2f}"),
    "quiet rounds": lambda r: _told(r, "quiet_rounds", "{}"),
    "of the fastest": lambda r: (
        _told(r, "ratio_of_fastest", "{:.2f}") or _told(r, "times_fastest", "{:.1f}")
    ),
    "ours": lambda r: _told(r, "ours", "{}"),
    **{name: lambda r, n=name: _told(r, n, "{:.1g}") for name in AGREEMENT},
    "others' share": lambda r: _told(r, "others_share", "{:.0%}"),
}


def of(rows: Sequence[Row]) -> str:
    """Tables in Markdown, one for each `table` that rows name, of the columns that some row has."""
    named = dict.fromkeys(row.get("table", "") for row in rows)
    tables = {name: _one([r for r in rows if r.get("table", "") == name]) for name in named}
    return "\n\n".join(f"{name}\n\n{text}" if name else text for name, text in tables.items())


def _one(rows: Sequence[Row]) -> str:
    cells = {name: [column(row) for row in rows] for name, column in COLUMNS.items()}
    cells = {name: values for name, values in cells.items() if any(v is not None for v in values)}
    lines = [list(cells), ["---"] * len(cells)]
    lines += [[values[i] or "" for values in cells.values()] for i in range(len(rows))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> dict[str, Any]:
    """What the figures were measured on, and when."""
    return {
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def _told(row: Row, name: str, form: str, factor: float | None = None) -> str | None:
    value = row.get(name)
    return None if value is None else form.format(value if factor is None else factor * value)


def _megabytes(parts: Mapping[str, int] | None) -> str | None:
    if parts is None:
        return None
    return ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in parts.items()) or "none"

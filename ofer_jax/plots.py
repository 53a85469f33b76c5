"""Curves of evaluations as PNG. matplotlib is the extra `plots`, imported when one is drawn."""

from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax import atomic


def figure(columns: int = 1, height: float = 4.0, width: float = 6.0) -> tuple[Any, np.ndarray]:
    """A figure and its axes side by side [columns]; sizes in inches, the width of one of them.

    Raises:
      ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("plots need matplotlib: pip install 'ofer-jax[plots]'") from None
    made = Figure(figsize=(columns * width, height), layout="constrained")
    FigureCanvasAgg(made)
    axes = np.array([made.add_subplot(1, columns, i + 1) for i in range(columns)])
    for axis in axes:
        axis.grid(visible=True, alpha=0.3)
    return made, axes


def save(made: Any, path: str | Path) -> None:
    """Writes the figure as PNG, in one step."""
    with atomic.writing(path) as beside:
        made.savefig(beside, format="png", dpi=120)

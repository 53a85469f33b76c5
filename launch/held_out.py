"""The held-out examples that a run is judged on."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from data_pipelines import input as batches
from ofer_jax import parts

Rows = np.ndarray | parts.Parts


def arrays(config: Any) -> dict[str, Any]:
    """The validation split, clean and occluded alternating, as one batch that is read in slices."""
    stored = batches.load_split(config.input.dir, "validation", config.model.features.name)
    found = {
        name: Alternating(stored[name], stored[name]) for name in ("shape", "expression", "jaw")
    }
    found["features"] = jax.tree.map(Alternating, *(stored[f"features_{k}"] for k in batches.KINDS))
    if config.task == "idrank":
        folder = Path(config.candidates.dir)
        found["candidates"] = Alternating(
            *(parts.open_in(folder, f"validation_{kind}") for kind in batches.KINDS)
        )
    return {**found, "index": np.arange(len(found["shape"]))}


class Alternating:
    """The rows of two arrays in turn (clean 0, occluded 0, clean 1, ...), read when asked for."""

    def __init__(self, clean: Rows, occluded: Rows) -> None:
        self.clean, self.occluded = clean, occluded

    def __len__(self) -> int:
        return len(self.clean) + len(self.occluded)

    def __getitem__(self, rows: slice) -> np.ndarray:
        number = np.arange(len(self))[rows]
        return batches.either(self.clean, self.occluded, number // 2, number % 2 == 1)

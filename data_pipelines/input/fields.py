"""Names of what a split holds and of what a batch shows."""

from typing import Any

import numpy as np

COEFFICIENTS = (
    "shape",
    "expression",
    "jaw",
    "neck",
    "eyes",
    "global_rotation",
    "subject",
    "occluder",
)
TARGETS = ("shape", "expression", "jaw")  # of a training batch
KINDS = ("clean", "occluded")
CROPS = ("crop_112", "crop_224")
# Of a picture: an array of features, or the crops by name.
Features = np.ndarray | dict[str, np.ndarray]
Batch = dict[str, Any]


def kinds(occluded_share: float) -> tuple[str, ...]:
    """The kinds of pictures that training sees at this share."""
    share = {"clean": 1 - occluded_share, "occluded": occluded_share}
    return tuple(kind for kind in KINDS if share[kind] > 0)

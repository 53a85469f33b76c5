"""Colour maps, as functions of numbers in 0..1, and their bar.

Each map is linear between a few sRGB anchors, dark to light, so that it also reads in grey.
"""

import numpy as np
from jaxtyping import Float, Shaped, UInt8

_MAPS = {
    # few to many: deep blue, teal, yellow-green, warm white
    "heat": ((0.10, 0.12, 0.36), (0.12, 0.44, 0.56), (0.45, 0.73, 0.43), (0.98, 0.87, 0.45)),
    # below to above: blue, light grey, red
    "signed": ((0.17, 0.35, 0.66), (0.88, 0.88, 0.88), (0.72, 0.17, 0.20)),
}


def colormap(
    values: Shaped[np.ndarray, "*S"], name: str = "heat", *, low: float = 0.0, high: float = 1.0
) -> Float[np.ndarray, "*S 3"]:
    """RGB 0..1 of values; what lies outside low..high takes the end's colour."""
    if name not in _MAPS:
        raise ValueError(f"no colour map {name!r}; there are {sorted(_MAPS)}")
    anchors = np.array(_MAPS[name], np.float32)
    unit = (np.asarray(values, np.float32) - low) / max(high - low, 1e-12)
    place = np.clip(unit, 0, 1) * (len(anchors) - 1)
    at = np.minimum(place.astype(int), len(anchors) - 2)
    part = (place - at)[..., None]
    return anchors[at] * (1 - part) + anchors[at + 1] * part


def color_bar(height: int, width: int, name: str = "heat") -> UInt8[np.ndarray, "H W 3"]:
    """A horizontal bar, low on the left."""
    row = np.uint8(np.rint(colormap(np.linspace(0, 1, width), name) * 255))
    return np.broadcast_to(row, (height, width, 3)).copy()

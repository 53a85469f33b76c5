"""The error of one predicted face against one scan.

The scan is cropped to a ball about the face: with the nose bottom b, the nose bridge g (the middle
of the inner eye corners) and the outer eye corners' distance e,

    centre = b + 0.3 (g - b),   radius = factor (e + |g - b|) / 2,

factor 1.4 for NoW and 1.2 for Stirling. The prediction is laid onto the crop (`align`), and the
error is the distance of each of the crop's vertices to the predicted surface, in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ofer_jax.now import align
from ofer_jax.now.surface import Surface

# The order of the 7 landmarks ("right" is the person's), and their numbers among FLAME's 51.
LANDMARKS = (
    "outer corner of the right eye",
    "inner corner of the right eye",
    "inner corner of the left eye",
    "outer corner of the left eye",
    "nose bottom",
    "right mouth corner",
    "left mouth corner",
)
OF_51 = (19, 22, 25, 28, 16, 31, 37)
NOW_RADIUS, STIRLING_RADIUS = 1.4, 1.2


@dataclass(frozen=True)
class Face:
    """A mesh with its 7 landmarks."""

    vertices: Float[np.ndarray, "V 3"]
    triangles: Int[np.ndarray, "F 3"]
    landmarks: Float[np.ndarray, "7 3"]


@dataclass(frozen=True)
class Settings:
    """What is measured: the crop's radius factor; `metrical` keeps the prediction's own size;
    without `refine` the landmarks' alignment is the last (as FG 2018 has it)."""

    radius: float = NOW_RADIUS
    metrical: bool = False
    refine: bool = True


def crop(
    vertices: Float[np.ndarray, "V 3"], landmarks: Float[np.ndarray, "7 3"], factor: float
) -> Bool[np.ndarray, "V"]:
    """Which vertices of a scan count."""
    bottom, bridge = landmarks[4], (landmarks[1] + landmarks[2]) / 2
    centre = bottom + 0.3 * (bridge - bottom)
    eyes, nose = np.linalg.norm(landmarks[0] - landmarks[3]), np.linalg.norm(bridge - bottom)
    return np.linalg.norm(vertices - centre, axis=1) <= factor * (eyes + nose) / 2


def distances(scan: Face, prediction: Face, settings: Settings) -> Float[np.ndarray, "N"]:
    """Distance of each vertex of the scan's crop to the prediction, in the scan's unit.

    Args:
      scan: in millimetres.
      prediction: in millimetres in the metrical case, else in any unit.
      settings: of the protocol.
    """
    points = scan.vertices[crop(scan.vertices, scan.landmarks, settings.radius)]
    metrical = settings.metrical
    at = align.by_landmarks(prediction.landmarks, scan.landmarks, metrical=metrical)
    surface = Surface(prediction.vertices, prediction.triangles)
    if not settings.refine:
        return at.scale * surface.closest(at.back(points)).distance
    return align.fit(surface, points, at, metrical=metrical)[1]

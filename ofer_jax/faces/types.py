"""What is known of one face in a photograph."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Face:
    """One face; all positions in pixels of the photograph (pixel centres at integers, y down).

    `keypoints`: the subject's right eye, left eye, nose tip, mouth centre, right ear, left ear.
    `points`: FaceMesh's 468 points, z in the same scale and growing away from the camera. When
    `presence` is low they are guesses and `five` comes from the keypoints.
    `five`: eye, eye, nose, mouth corner, mouth corner, the image-left one first (ArcFace's order).
    `landmarks`: the 68 points of iBUG's order where a detector gives them itself, else NaN.
    """

    box: np.ndarray  # [4] x0, y0, x1, y1
    keypoints: np.ndarray  # [6, 2]
    score: float  # of the detector, 0..1
    points: np.ndarray  # [468, 3]
    presence: float  # of FaceMesh, 0..1
    five: np.ndarray  # [5, 2]
    landmarks: np.ndarray = field(default_factory=lambda: np.full((68, 2), np.nan))  # [68, 2]

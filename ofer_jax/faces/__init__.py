"""Photograph -> faces, aligned crops and features, by small open networks whose weights are data.

`detect` (BlazeFace + FaceMesh), `crop_112` and `chip_150` (aligned crops), `embed` (dlib's network).
Pictures are uint8 RGB [H, W, 3] arrays; positions are pixels with centres at integers, y down.
"""

import numpy as np

from ofer_jax.faces import align
from ofer_jax.faces.finder import detect, detect_batch
from ofer_jax.faces.embedding import embed
from ofer_jax.faces.types import Face

__all__ = ["Face", "chip_150", "crop_112", "detect", "detect_batch", "embed"]


def crop_112(image: np.ndarray, face: Face) -> np.ndarray:
    """ArcFace's aligned crop, uint8 [112, 112, 3]."""
    return align.warp(image, align.arcface_matrix(face.five), 112)


def chip_150(image: np.ndarray, face: Face) -> np.ndarray:
    """dlib's face chip, uint8 [150, 150, 3]."""
    return align.warp(image, align.dlib_matrix(face.points), 150)

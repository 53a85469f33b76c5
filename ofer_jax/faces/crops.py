"""The two aligned crops that the published encoders see.

ArcFace's is a similarity fit of five points. FaRL's is upright: a square of 1.6 times the face's
box, as insightface draws it. Our detector's boxes differ from that; the factors below are medians
over photographs whose published crops were registered to them (side 3 %, centre 4 % of the side).
"""

import numpy as np

from ofer_jax.faces import align
from ofer_jax.faces.finder import CONFIRMED
from ofer_jax.faces.types import Face

SCALE = 1.6  # of the published crop to the box
# insightface's box in sides of ours: its side, and how far its centre lies higher.
_OF_POINTS = (1.05, 0.055)  # by the bounding box of FaceMesh's points
_OF_BOX = (1.17, 0.107)  # by the detector's


def crop_112(image: np.ndarray, face: Face) -> np.ndarray:
    """ArcFace's aligned crop of a picture uint8 RGB [H, W, 3], uint8 RGB [112, 112, 3]."""
    return align.warp(image, align.arcface_matrix(face.five), 112)


def crop_224(image: np.ndarray, face: Face) -> np.ndarray:
    """FaRL's crop of a picture uint8 RGB [H, W, 3], uint8 RGB [224, 224, 3]; black outside."""
    return align.warp(image, matrix_224(face), 224)


def matrix_224(face: Face) -> np.ndarray:
    """Photograph -> FaRL's crop, a matrix [2, 3]."""
    centre, side = published_box(face)
    return align.square_matrix(centre, SCALE * side, 224)


def published_box(face: Face) -> tuple[np.ndarray, float]:
    """Centre [2] and side (pixels) of the square that insightface would draw about the face."""
    confirmed = face.presence >= CONFIRMED
    points = face.points[:, :2] if confirmed else face.box.reshape(2, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    factor, rise = _OF_POINTS if confirmed else _OF_BOX
    side = float(np.mean(high - low))
    return (low + high) / 2 - np.array([0.0, rise * side]), factor * side

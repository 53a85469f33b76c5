"""Quick looks at photographs of any size: the open detector on small copies, and sharp crops.

Most of the time that a photograph takes goes into sampling it. So it is resized, by averages, to
about the scale at which it is needed, and sampled once there: the same to a level or two as what
`ofer_jax.faces` gives, in a fraction of the time. A face that is too small in the copy, or not
sure, is looked for in the photograph itself.

`detect_batch` and `matrix_224` stand in for those of `ofer_jax.faces`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ofer_jax import faces
from ofer_jax.faces import Face, align, matrix_224
from ofer_jax.faces.finder import CONFIRMED

__all__ = ["crop", "detect_batch", "matrix_224"]

COPY = 384  # px, the long side of a copy: three samples for each that the detector sees
SMALL = 48  # px of the copy: a smaller face is looked at again, for FaceMesh's sake


def detect_batch(images: Sequence[np.ndarray]) -> list[list[Face]]:
    """Faces of each picture uint8 RGB [H, W, 3], nearest to its centre first."""
    copies = [_copy(image) for image in images]
    plain = faces.detect_batch(copies, closer=False)
    found = []
    for image, small, each in zip(images, copies, plain, strict=True):
        factor = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
        found.append([_scaled(face, factor) for face in each])
    again = [
        i
        for i, (image, small) in enumerate(zip(images, copies, strict=True))
        if not _enough(plain[i], SMALL if small is not image else 0)
    ]
    for i, each in zip(again, faces.detect_batch([images[i] for i in again]), strict=True):
        found[i] = each
    return found


def _enough(found: Sequence[Face], side: float) -> bool:
    """Whether the first face is sure, and as large as `side`."""
    if not found or found[0].presence < CONFIRMED:
        return False
    return float(np.min(found[0].box[2:] - found[0].box[:2])) >= side


def _copy(image: np.ndarray) -> np.ndarray:
    """The picture with a long side of at most `COPY` pixels."""
    height, width = image.shape[:2]
    factor = max(height, width) / COPY
    if factor <= 1:
        return image
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def _scaled(face: Face, factor: np.ndarray) -> Face:
    """A face found in a copy, in pixels of the picture that is `factor` [2] as large."""

    def placed(points: np.ndarray) -> np.ndarray:
        return (points + 0.5) * factor - 0.5

    depth = face.points[:, 2:] * factor.mean()
    return dataclasses.replace(
        face,
        box=placed(face.box.reshape(2, 2)).reshape(4),
        keypoints=placed(face.keypoints),
        points=np.concatenate([placed(face.points[:, :2]), depth], axis=1),
        five=placed(face.five),
        landmarks=placed(face.landmarks),
    )


def crop(picture: Image.Image, matrix: np.ndarray, size: int) -> np.ndarray:
    """As `align.warp`: the crop uint8 [size, size, 3], black outside of the photograph."""
    shrink = 1 / max(float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))), 1e-6)
    if shrink <= 1:
        return align.warp(picture, matrix, size)
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], float)
    seen, limit = align.apply(align.invert(matrix), corners), np.array(picture.size)
    low = np.clip(np.floor(seen.min(0) - 2 * shrink), 0, limit - 1)
    high = np.clip(np.ceil(seen.max(0) + 2 * shrink), low + 1, limit)
    shape = np.maximum(np.rint((high - low) / shrink), 1)
    box = (*low.tolist(), *high.tolist())
    small = picture.resize((int(shape[0]), int(shape[1])), Image.Resampling.BOX, box)
    factor = (high - low) / shape
    # pixel x of the small picture has its centre at low + factor * (x + 1/2) - 1/2
    linear = matrix[:, :2]
    offset = linear @ (low + (factor - 1) / 2) + matrix[:, 2]
    return align.warp(small, np.concatenate([linear * factor, offset[:, None]], axis=1), size)

"""The open detector for photographs of any size: it looks at a small copy first, which is enough
for a face that fills a good part of it, and at the photograph itself where it is not.

Used in place of `ofer_jax.faces` (the same names).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ofer_jax import faces
from ofer_jax.faces import Face, matrix_224
from ofer_jax.faces.finder import CONFIRMED

__all__ = ["detect_batch", "matrix_224"]

COPY = 400  # px, the least long side of a copy
SMALL = 96  # px of the copy: a smaller face is looked at again, for FaceMesh's sake


def detect_batch(images: Sequence[np.ndarray]) -> list[list[Face]]:
    """Faces of each picture uint8 RGB [H, W, 3], nearest to its centre first."""
    factors = [max(1, max(image.shape) // COPY) for image in images]
    copies = [_reduced(image, factor) for image, factor in zip(images, factors, strict=True)]
    plain = faces.detect_batch(copies, closer=False)
    found = [[scaled(f, k) for f in each] for each, k in zip(plain, factors, strict=True)]
    again = [i for i, each in enumerate(plain) if not _enough(each, SMALL * (factors[i] > 1))]
    for i, each in zip(again, faces.detect_batch([images[i] for i in again]), strict=True):
        found[i] = each
    return found


def _enough(found: Sequence[Face], side: float) -> bool:
    """Whether the first face is sure, and as large as `side`."""
    if not found or found[0].presence < CONFIRMED:
        return False
    return float(np.min(found[0].box[2:] - found[0].box[:2])) >= side


def _reduced(image: np.ndarray, factor: int) -> np.ndarray:
    return image if factor == 1 else np.asarray(Image.fromarray(image).reduce(factor))


def scaled(face: Face, factor: int) -> Face:
    """A face found in a copy, in pixels of the picture that was reduced by `factor`."""
    if factor == 1:
        return face
    shift = (factor - 1) / 2  # the middle of factor x factor pixels
    depth = np.array([shift, shift, 0.0])
    return dataclasses.replace(
        face,
        box=face.box * factor + shift,
        keypoints=face.keypoints * factor + shift,
        points=face.points * factor + depth[None],
        five=face.five * factor + shift,
        landmarks=face.landmarks * factor + shift,
    )

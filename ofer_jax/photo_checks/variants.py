"""A photograph changed in ways that leave the face what it is (the mirrored one: its mirror image).

mirrored      left and right swapped
re-cropped    cut to a window about the face: at most 1 box width beyond its middle to the left
              and above, 1.2 to the right and below, and always 6 % off the picture's left and
              top, but never into the face's box
dimmed        every value halved
recompressed  JPEG of quality 30
"""

import io

import numpy as np
from PIL import Image

from ofer_jax.arrays import Float

Picture = np.ndarray  # uint8 RGB [H, W, 3]
NAMES = ("mirrored", "re-cropped", "dimmed", "recompressed")
_BEFORE, _AFTER, _OFF = 1.0, 1.2, 0.06
_DIM, _QUALITY = 0.5, 30


def of(image: Picture, box: Float[np.ndarray, "4"]) -> dict[str, Picture]:
    """The variants by name; `box` is the face's (x0, y0, x1, y1), pixels."""
    return {
        "mirrored": np.ascontiguousarray(image[:, ::-1]),
        "re-cropped": _cropped(image, np.asarray(box, float)),
        "dimmed": np.rint(image * _DIM).astype(np.uint8),
        "recompressed": _recompressed(image),
    }


def _cropped(image: Picture, box: Float[np.ndarray, "4"]) -> Picture:
    size = np.array(image.shape[1::-1], float)
    low, high = box[:2], box[2:]
    middle, side = (low + high) / 2, float((high - low).max())
    start = np.minimum(np.maximum(middle - _BEFORE * side, _OFF * size), low)
    end = np.maximum(np.minimum(middle + _AFTER * side, size), high)
    (left, top) = np.clip(np.rint(start), 0, size - 1).astype(int)
    (right, bottom) = np.clip(np.rint(end), 1, size).astype(int)
    return np.ascontiguousarray(image[top:bottom, left:right])


def _recompressed(image: Picture) -> Picture:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=_QUALITY)
    with Image.open(stream) as again:
        return np.asarray(again.convert("RGB"))

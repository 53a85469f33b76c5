"""What lies before a picture, and the same seen in another crop of it.

    Layer: out = keep * picture + add          Blur: out = picture + soft * (blurred - picture)

A crop that `matrix` [2, 3] maps a picture's pixels to (centres at integers) sees `seen(matrix,
size)`. Beyond a picture's edge a layer goes on as it is at the edge.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter

Picture = UInt8[np.ndarray, "H W 3"]
Matrix = Float[np.ndarray, "2 3"]
Box = tuple[slice, slice]  # rows, columns


class Effect(Protocol):
    """Something that changes a picture."""

    def over(self, picture: Picture) -> Picture:
        """A changed copy."""
        ...

    def seen(self, matrix: Matrix, size: int) -> "Effect":
        """What a crop [size, size] of the picture shows of it."""
        ...


@dataclass(frozen=True)
class Layer:
    """`planes` float32 [4, h, w], within `box`: keep, and add as RGB 0..1; a picture [H, W]."""

    shape: tuple[int, int]
    box: Box
    planes: np.ndarray

    def over(self, picture: Picture) -> Picture:
        part = 255 * self.planes[1:]
        part += np.ascontiguousarray(picture[self.box].transpose(2, 0, 1)) * self.planes[0]
        part += np.float32(0.5)
        out = picture.copy()
        np.stack(list(np.clip(part, 0, 255, out=part).astype(np.uint8)), -1, out=out[self.box])
        return out

    def seen(self, matrix: Matrix, size: int) -> "Layer":
        nothing = np.array([1, 0, 0, 0], np.float32)
        box, planes = _seen(self.planes, self.shape, self.box, matrix, size, nothing)
        return Layer((size, size), box, planes)


@dataclass(frozen=True)
class Blur:
    """`soft` float32 [H, W], how much of the blurred picture is seen; `radius` in pixels."""

    soft: np.ndarray
    radius: float

    def over(self, picture: Picture) -> Picture:
        smooth = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(self.radius))
        soft = np.repeat(self.soft, 3, axis=1).reshape(picture.shape)
        out = picture + (np.asarray(smooth, np.float32) - picture) * soft
        return (out + np.float32(0.5)).astype(np.uint8)

    def seen(self, matrix: Matrix, size: int) -> "Blur":
        shape = self.soft.shape
        box = (slice(0, shape[0]), slice(0, shape[1]))
        _, soft = _seen(self.soft[None], shape, box, matrix, size, np.zeros(1, np.float32))
        return Blur(soft[0], self.radius * float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))))


def _seen(
    planes: np.ndarray,
    shape: tuple[int, int],
    box: Box,
    matrix: Matrix,
    size: int,
    nothing: np.ndarray,
) -> tuple[Box, np.ndarray]:
    """(box, planes) of a crop, bilinear; `nothing` [C] is what planes hold outside of their box."""
    linear = np.linalg.inv(matrix[:, :2]).astype(np.float32)
    x0, y0 = (linear @ matrix[:, 2]).tolist()
    x = np.arange(size, dtype=np.float32)
    y = x[:, None]
    u = np.clip(linear[0, 0] * x + (linear[0, 1] * y - x0), 0, shape[1] - 1) - box[1].start
    v = np.clip(linear[1, 0] * x + (linear[1, 1] * y - y0), 0, shape[0] - 1) - box[0].start
    height, width = planes.shape[1:]
    inside = (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return (slice(0, 0), slice(0, 0)), np.zeros((len(nothing), 0, 0), np.float32)
    here = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    found = _bilinear(planes, np.clip(u[here], 0, width - 1), np.clip(v[here], 0, height - 1))
    if not inside[here].all():
        found = np.where(inside[here], found, nothing[:, None, None])
    return here, found


def _bilinear(planes: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """[C, h, w] at (u, v) [H, W], all within it: [C, H, W]."""
    channels, height, width = planes.shape
    i, j = v.astype(np.intp), u.astype(np.intp)
    right, below = (j < width - 1).astype(np.intp), (i < height - 1) * width
    a, b = v - i.astype(np.float32), u - j.astype(np.float32)
    flat, at = planes.reshape(channels, -1), i * width + j
    top, low = flat.take(at, 1), flat.take(at + below, 1)
    top += (flat.take(at + right, 1) - top) * b
    low += (flat.take(at + below + right, 1) - low) * b
    top += (low - top) * a
    return top

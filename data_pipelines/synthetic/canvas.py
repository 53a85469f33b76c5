"""A picture to composite things onto: antialiased shapes, relief shading, contact shadows."""

import math

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from data_pipelines.synthetic.noise import box_blur, grid, nearest

_FINER = 2  # shapes are drawn this much larger and averaged down
Box = tuple[slice, slice]  # rows, columns


def smooth(points: np.ndarray, closed: bool = True, steps: int = 8) -> np.ndarray:
    """A Catmull-Rom curve through [N, 2] points."""
    points = np.asarray(points, float)
    if closed:
        p = [np.roll(points, shift, 0) for shift in (1, 0, -1, -2)]
    else:
        padded = np.concatenate([points[:1], points, points[-1:]])
        p = [padded[k : len(padded) - 3 + k] for k in range(4)]
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (q[:, None] for q in p)
    curve = b + 0.5 * t * ((c - a) + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


class Canvas:
    """`image` is float32 RGB 0..1, changed in place; points are (x, y), pixel centres integer.

    `keep` [H, W] is how much of the first picture is still seen: image = keep * first + what was
    laid over it. Nothing was changed outside of `box` (rows, columns).
    """

    def __init__(self, image: UInt8[np.ndarray, "H W 3"] | Float[np.ndarray, "H W 3"]) -> None:
        scale = 255 if image.dtype == np.uint8 else 1
        self.image = image.astype(np.float32) / scale
        self.height, self.width = image.shape[:2]
        self.keep = np.ones((self.height, self.width), np.float32)
        self._low, self._high = np.array([self.height, self.width]), np.zeros(2, int)

    @property
    def box(self) -> Box:
        """The rows and columns that were drawn on."""
        low = self._low
        high = np.maximum(np.minimum(self._high, self.keep.shape), low)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    def _dim(self, box: Box, left: np.ndarray) -> None:
        """Notes that only the part `left` of what was seen in `box` shines through."""
        if not left.size:
            return
        self.keep[box] *= left
        self._low = np.minimum(self._low, [part.start for part in box])
        self._high = np.maximum(self._high, [part.stop for part in box])

    def grid(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) of every pixel of a box."""
        x, y = grid(self.height, self.width)
        return x[box], y[box]

    def cover(self, *polygons: np.ndarray) -> np.ndarray:
        """Coverage 0..1 of filled polygons."""

        def draw(pen: ImageDraw.ImageDraw, origin: np.ndarray) -> None:
            for points in polygons:
                pen.polygon(_fine(points, origin), fill=255)

        return self._drawn(np.concatenate([np.asarray(points, float) for points in polygons]), draw)

    def stroke(self, points: np.ndarray, width: float) -> np.ndarray:
        """Coverage of a line with round ends."""
        thick = max(1.0, width * _FINER)

        def draw(pen: ImageDraw.ImageDraw, origin: np.ndarray) -> None:
            fine = _fine(points, origin)
            pen.line(fine, fill=255, width=round(thick), joint="curve")
            for x, y in (fine[0], fine[-1]):
                ends = [x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2]
                pen.ellipse(ends, fill=255)

        return self._drawn(np.asarray(points, float), draw, width)

    def _drawn(self, points: np.ndarray, draw, margin: float = 0) -> np.ndarray:
        """Coverage, drawn only within the points' box: most things are small."""
        out = np.zeros((self.height, self.width), np.float32)
        (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
        left, above = (max(math.floor(value - margin - 2), 0) for value in (x0, y0))
        wide = min(math.ceil(x1 + margin + 3), self.width) - left
        tall = min(math.ceil(y1 + margin + 3), self.height) - above
        if wide <= 0 or tall <= 0:
            return out
        picture = Image.new("L", (wide * _FINER, tall * _FINER))
        draw(ImageDraw.Draw(picture), np.array([left, above]))
        part = np.asarray(picture.reduce(_FINER), np.float32) / 255
        out[above : above + tall, left : left + wide] = part
        return out

    def lay(self, color: np.ndarray, alpha: np.ndarray) -> None:
        """Composite a colour ([3], or [h, w, 3] within `bounds(alpha)`) by coverage."""
        box = bounds(alpha)
        self._blend(np.asarray(color, np.float32), alpha[box], box)

    def _blend(self, color: np.ndarray, alpha: np.ndarray, box: Box) -> None:
        part = self.image[box]
        part += (color - part) * alpha[..., None]
        self._dim(box, 1 - alpha)

    def shadow(self, alpha: np.ndarray, radius: float, strength: float, drop: float = 0.5) -> None:
        """Darken round a shape that lies on the picture, a little more below it."""
        self._shade(alpha, bounds(alpha), radius, strength, drop)

    def _shade(
        self, alpha: np.ndarray, box: Box, radius: float, strength: float, drop: float = 0.5
    ) -> None:
        if not alpha[box].size:
            return
        r = max(1, round(radius))
        box = _wider(box, 3 * r)
        soft = box_blur(alpha[box], r)
        shift = min(round(drop * r), len(soft) - 1)
        if shift:
            soft = np.concatenate([np.repeat(soft[:1], shift, 0), soft[:-shift]])
        left = 1 - strength * np.where(soft > 0.02, soft, 0)
        self.image[box] *= left[..., None]
        self._dim(box, left)

    def solid(
        self, alpha: np.ndarray, color: np.ndarray, radius: float, towards: np.ndarray, depth=0.5
    ) -> None:
        """A body rounded off over `radius`: its shadow, then its colour (as in `lay`) lit from
        `towards`."""
        box = bounds(alpha)
        if not alpha[box].size:
            return
        radius = max(1.0, radius)
        self._shade(alpha, box, 0.5 * radius, 0.45)
        light = _relief(alpha[box], radius, towards, depth)[..., None]
        self._blend(np.minimum(np.asarray(color, np.float32) * light, 1), alpha[box], box)

    def texture(
        self, kind: str, offset: np.ndarray, zoom: float, turn: float, box: Box
    ) -> np.ndarray:
        """Noise [h, w] over a box of the picture."""
        x, y = self.grid(box)
        c, s = float(np.cos(turn) * zoom), float(np.sin(turn) * zoom)
        u, v = (float(value) for value in offset)  # Python's floats keep float32 arrays float32
        return nearest(kind, x * c + y * s + u, y * c - x * s + v)


def _fine(points: np.ndarray, origin: np.ndarray) -> list[tuple[float, float]]:
    return [tuple(point) for point in (np.asarray(points, float) - origin + 0.5) * _FINER - 0.5]


def _relief(alpha: np.ndarray, radius: float, towards: np.ndarray, depth: float) -> np.ndarray:
    """Brightness of a shape whose edge falls away over `radius`."""
    padded = np.pad(alpha, 2)
    height = box_blur(padded, max(1, round(radius / 2)))
    dy, dx = np.gradient(np.sqrt(np.maximum(height, 0.02)))
    slope = -(dx * towards[0] + dy * towards[1]) * radius
    rim = 1 - 0.35 * depth * (1 - np.clip(height, 0, 1))
    return np.clip(rim + depth * slope, 0.35, 1.45)[2:-2, 2:-2]


def bounds(alpha: np.ndarray) -> Box:
    """The box of what is covered; slices of nothing if nothing is."""
    rows = np.flatnonzero(alpha.max(1))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    above, below = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(alpha[above:below].max(0))
    return slice(above, below), slice(int(columns[0]), int(columns[-1]) + 1)


def _wider(box: Box, margin: int) -> Box:
    """A box with a margin round it; it may reach beyond the picture's right and lower edges."""
    rows, columns = (slice(max(part.start - margin, 0), part.stop + margin) for part in box)
    return rows, columns

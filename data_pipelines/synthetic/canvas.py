"""A picture to composite things onto: antialiased shapes, relief shading, contact shadows."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from data_pipelines.synthetic.noise import box_blur, grid, nearest

_FINER = 2  # shapes are drawn this much larger and averaged down


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
    def box(self) -> tuple[slice, slice]:
        """The rows and columns that were drawn on."""
        low, high = self._low, np.maximum(self._high, self._low)
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    def _dim(self, box: tuple[slice, slice], left: np.ndarray) -> None:
        """Notes that only the part `left` of what was seen in `box` shines through."""
        self.keep[box] *= left
        self._low = np.minimum(self._low, [part.start for part in box])
        self._high = np.maximum(self._high, [part.stop for part in box])

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """(x, y) of every pixel."""
        return grid(self.height, self.width)

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
        size = np.array([self.width, self.height])
        low = np.clip(np.floor(points.min(0) - margin - 2), 0, size).astype(int)
        high = np.clip(np.ceil(points.max(0) + margin + 3), 0, size).astype(int)
        wide, tall = high - low
        if wide <= 0 or tall <= 0:
            return out
        picture = Image.new("L", (int(wide) * _FINER, int(tall) * _FINER))
        draw(ImageDraw.Draw(picture), low)
        part = np.asarray(picture.reduce(_FINER), np.float32) / 255
        out[low[1] : high[1], low[0] : high[0]] = part
        return out

    def lay(self, color: np.ndarray, alpha: np.ndarray) -> None:
        """Composite a colour ([3] or [H, W, 3]) by coverage."""
        box = _bounds(alpha, 0)
        if box is None:
            return
        color = np.asarray(color, np.float32)
        part = self.image[box]
        part += ((color if color.ndim == 1 else color[box]) - part) * alpha[box][..., None]
        self._dim(box, 1 - alpha[box])

    def shadow(self, alpha: np.ndarray, radius: float, strength: float, drop: float = 0.5) -> None:
        """Darken round a shape that lies on the picture, a little more below it."""
        r = max(1, round(radius))
        box = _bounds(alpha, 3 * r)
        if box is None:
            return
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
        """A body rounded off over `radius`: its shadow, then its colour lit from `towards`."""
        radius = max(1.0, radius)
        self.shadow(alpha, 0.5 * radius, 0.45)
        box = _bounds(alpha, 0)
        if box is None:
            return
        light = _relief(alpha[box], radius, towards, depth)[..., None]
        color = np.asarray(color, np.float32)
        lit = np.minimum((color if color.ndim == 1 else color[box]) * light, 1)
        part = self.image[box]
        part += (lit - part) * alpha[box][..., None]
        self._dim(box, 1 - alpha[box])

    def texture(self, kind: str, offset: np.ndarray, zoom: float, turn: float) -> np.ndarray:
        """Noise [H, W] over the picture."""
        x, y = self.grid()
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


def _bounds(alpha: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    if not len(rows):
        return None
    y0, y1 = max(rows[0] - margin, 0), rows[-1] + margin + 1
    x0, x1 = max(columns[0] - margin, 0), columns[-1] + margin + 1
    return slice(y0, y1), slice(x0, x1)

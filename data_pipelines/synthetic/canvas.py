"""A picture to composite things onto: antialiased shapes, relief shading, contact shadows."""

import math

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from data_pipelines.synthetic.cover import NOTHING, Box, Cover
from data_pipelines.synthetic.noise import box_blur, nearest

_FINER = 2  # shapes are drawn this much larger and averaged down


def smooth(points: np.ndarray, closed: bool = True, steps: int = 8) -> np.ndarray:
    """A Catmull-Rom curve through [N, 2] points."""
    points = np.asarray(points, float)
    before, after = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    padded = np.concatenate([before, points, after])[:, None]
    a, b, c, d = (padded[k : len(padded) - 3 + k] for k in range(4))
    t = (np.arange(steps) / steps)[None, :, None]
    curve = b + 0.5 * t * ((c - a) + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


def column(color: np.ndarray) -> np.ndarray:
    """[3] as [3, 1, 1], which goes with planes [3, H, W]."""
    return np.asarray(color)[:, None, None]


class Canvas:
    """`planes` [3, H, W] are RGB 0..1, float32, changed in place: with the colours first, NumPy's
    inner loops are long. Points are (x, y), pixel centres integer.

    `first` [H, W, 3] is the picture before anything was laid over it, float32, and `keep` [H, W]
    how much of it is still seen: planes = keep * first + what was laid over it. Nothing was changed
    outside of `box` (rows, columns).
    """

    def __init__(self, image: UInt8[np.ndarray, "H W 3"] | Float[np.ndarray, "H W 3"]) -> None:
        scale = 255 if image.dtype == np.uint8 else 1
        self.first = image.astype(np.float32) / scale
        self.planes = np.stack([self.first[..., k] for k in range(3)])
        self.height, self.width = image.shape[:2]
        self.keep = np.ones((self.height, self.width), np.float32)
        self._low, self._high = (self.height, self.width), (0, 0)

    @property
    def image(self) -> Float[np.ndarray, "H W 3"]:
        """The picture as it is now, a copy."""
        return np.stack(list(self.planes), -1)

    @property
    def box(self) -> Box:
        """The rows and columns that were drawn on."""
        (top, left), (bottom, right) = self._low, self._high
        return slice(top, max(bottom, top)), slice(left, max(right, left))

    def _dim(self, box: Box, left: np.ndarray) -> None:
        """Notes that only the part `left` of what was seen in `box` shines through."""
        if not left.size:
            return
        self.keep[box] *= left
        (rows, columns), (top, left_), (bottom, right) = box, self._low, self._high
        self._low = min(top, rows.start), min(left_, columns.start)
        self._high = max(bottom, rows.stop), max(right, columns.stop)

    def grid(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """x [1, w] and y [h, 1] of the pixels of a box, float32."""
        y, x = (np.arange(part.start, part.stop, dtype=np.float32) for part in box)
        return x[None], y[:, None]

    def cover(self, *polygons: np.ndarray) -> Cover:
        """Coverage 0..1 of filled polygons."""

        def draw(pen: ImageDraw.ImageDraw, origin: np.ndarray) -> None:
            for points in polygons:
                pen.polygon(_fine(points, origin), fill=255)

        return self._drawn(np.concatenate([np.asarray(points, float) for points in polygons]), draw)

    def stroke(self, points: np.ndarray, width: float) -> Cover:
        """Coverage of a line with round ends."""
        thick = max(1.0, width * _FINER)

        def draw(pen: ImageDraw.ImageDraw, origin: np.ndarray) -> None:
            fine = _fine(points, origin)
            pen.line(fine, fill=255, width=round(thick), joint="curve")
            for x, y in (fine[0], fine[-1]):
                ends = [x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2]
                pen.ellipse(ends, fill=255)

        return self._drawn(np.asarray(points, float), draw, width)

    def _drawn(self, points: np.ndarray, draw, margin: float = 0) -> Cover:
        """Coverage, drawn only within the points' box: most things are small."""
        (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
        left, above = (max(math.floor(value - margin - 2), 0) for value in (x0, y0))
        wide = min(math.ceil(x1 + margin + 3), self.width) - left
        tall = min(math.ceil(y1 + margin + 3), self.height) - above
        if wide <= 0 or tall <= 0:
            return NOTHING
        picture = Image.new("L", (wide * _FINER, tall * _FINER))
        draw(ImageDraw.Draw(picture), np.array([left, above]))
        picture = picture.reduce(_FINER)
        x0, y0, x1, y1 = picture.getbbox() or (0, 0, 0, 0)
        part = np.asarray(picture)[y0:y1, x0:x1] / np.float32(255)
        return Cover((slice(above + y0, above + y1), slice(left + x0, left + x1)), part)

    def lay(self, color: np.ndarray, cover: Cover) -> None:
        """Composite a colour ([3], or [3, h, w] within the cover's box) by coverage."""
        color = np.asarray(color, np.float32)
        self._blend(column(color) if color.ndim == 1 else color, cover)

    def _blend(self, color: np.ndarray, cover: Cover) -> None:
        part = self.planes[:, *cover.box]
        part += (color - part) * cover.alpha
        self._dim(cover.box, 1 - cover.alpha)

    def shadow(self, cover: Cover, radius: float, strength: float, drop: float = 0.5) -> None:
        """Darken round a shape that lies on the picture, a little more below it."""
        if not cover.alpha.size:
            return
        r = max(1, round(radius))
        wide = cover.widened(3 * r, self.height, self.width)
        soft = box_blur(wide.alpha, r)
        shift = min(round(drop * r), len(soft) - 1)
        if shift:
            soft = np.concatenate([np.repeat(soft[:1], shift, 0), soft[:-shift]])
        left = 1 - strength * np.where(soft > 0.02, soft, 0)
        self.planes[:, *wide.box] *= left
        self._dim(wide.box, left)

    def solid(
        self, cover: Cover, color: np.ndarray, radius: float, towards: np.ndarray, depth=0.5
    ) -> None:
        """A body rounded off over `radius`: its shadow, then its colour (as in `lay`) lit from
        `towards`."""
        if not cover.alpha.size:
            return
        radius = max(1.0, radius)
        self.shadow(cover, 0.5 * radius, 0.45)
        color = np.asarray(color, np.float32)
        light = _relief(cover.alpha, radius, towards, depth)
        lit = (column(color) if color.ndim == 1 else color) * light
        self._blend(np.minimum(lit, 1, out=lit), cover)

    def texture(
        self, kind: str, offset: np.ndarray, zoom: float, turn: float, box: Box
    ) -> np.ndarray:
        """Noise [h, w] over a box of the picture."""
        x, y = self.grid(box)
        c, s = float(np.cos(turn) * zoom), float(np.sin(turn) * zoom)
        u, v = (float(value) for value in offset)  # Python's floats keep float32 arrays float32
        return nearest(kind, x * c + y * s + u, y * c - x * s + v)


def _fine(points: np.ndarray, origin: np.ndarray) -> list[tuple[float, float]]:
    fine = (np.asarray(points, float) - origin + 0.5) * _FINER - 0.5
    return [(x, y) for x, y in fine.tolist()]


def _relief(alpha: np.ndarray, radius: float, towards: np.ndarray, depth: float) -> np.ndarray:
    """Brightness of a shape whose edge falls away over `radius`."""
    height = np.zeros([side + 4 for side in alpha.shape], np.float32)
    height[2:-2, 2:-2] = alpha
    height = box_blur(height, max(1, round(radius / 2)))
    root = np.sqrt(np.maximum(height, 0.02))
    dy, dx = (root[3:-1] - root[1:-3])[:, 2:-2] / 2, (root[:, 3:-1] - root[:, 1:-3])[2:-2] / 2
    slope = -(dx * towards[0] + dy * towards[1]) * radius
    rim = 1 - 0.35 * depth * (1 - np.clip(height[2:-2, 2:-2], 0, 1))
    return np.clip(rim + depth * slope, 0.35, 1.45)

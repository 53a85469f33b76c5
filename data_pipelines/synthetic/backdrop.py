"""What lies around the head: background, clothes, hair that hangs down. Arrays in linear light."""

import numpy as np
from PIL import Image, ImageDraw

from data_pipelines.synthetic.noise import grid, nearest, sample, smoothstep
from data_pipelines.synthetic.scene import Tones, linear


def background(rng: np.random.Generator, side: int) -> np.ndarray:
    """[side, side, 3]: a gradient, a wall with a pattern, or blurred shapes as of a room."""
    y, x = np.mgrid[:48, :48].astype(np.float32) / 47
    base, other = rng.uniform(0.08, 0.9, (2, 3))
    if rng.uniform() < 0.85:  # most walls are nearly grey
        base, other = (0.8 * c.mean() + 0.2 * c for c in (base, other))
    turn = rng.uniform(0, 2 * np.pi)
    ramp = np.clip(0.5 + (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn), 0, 1)[..., None]
    image = base + (other - base) * ramp * rng.uniform(0.1, 1.0)
    for _ in range(int(rng.integers(0, 9)) if rng.uniform() < 0.7 else 0):
        image = _blob(rng, image, x, y)
    cloud = sample("soft", y * 60 + rng.uniform(0, 256), x * 60 + rng.uniform(0, 256))
    image = image * np.exp(rng.uniform(0, 0.25) * cloud)[..., None]
    out = _enlarge(np.clip(image, 0, 1), side)
    if rng.uniform() < 0.35:
        out = out * np.exp(rng.uniform(0.02, 0.15) * _texture(rng, side))[..., None]
    return linear(out)


def _enlarge(image: np.ndarray, side: int) -> np.ndarray:
    picture = Image.fromarray(np.uint8(image * 255))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255


def _texture(rng: np.random.Generator, side: int) -> np.ndarray:
    x, y = grid(side, side)
    kind = str(rng.choice(["cloud", "fine", "strands"]))
    a, zoom = rng.uniform(0, np.pi), rng.uniform(0.3, 1.5)
    c, s = float(np.cos(a) * zoom), float(np.sin(a) * zoom)
    u, v = rng.uniform(0, 256), rng.uniform(0, 256)
    return nearest(kind, x * c + y * s + u, y * c - x * s + v)


def _blob(rng: np.random.Generator, image, x, y) -> np.ndarray:
    """A box or a disc out of focus."""
    cx, cy, w, h = rng.uniform([0, 0, 0.05, 0.05], [1, 1, 0.4, 0.5])
    soft = rng.uniform(0.02, 0.15)
    if rng.uniform() < 0.5:
        mask = smoothstep(soft, -soft, np.maximum(np.abs(x - cx) - w, np.abs(y - cy) - h))
    else:
        mask = smoothstep(soft, -soft, np.hypot(x - cx, (y - cy) * w / h) - w)
    color = rng.uniform(0, 1, 3)
    color = color + (color.mean() - color) * rng.uniform(0, 1)
    return image + (color - image) * (mask * rng.uniform(0.3, 1.0))[..., None]


def clothes(
    rng: np.random.Generator, side: int, neck: np.ndarray, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """(colour [side, side, 3], mask): shoulders and a collar round the neck's lower end.

    neck: pixel of the middle of the neck's lower end; width: of the neck, pixels.
    """
    x, y = grid(side, side)
    dx, half = np.abs(x - neck[0]), width * 0.56
    dip = rng.uniform(0.0, 0.22) * width * np.maximum(0, 1 - (dx / half) ** 2)
    slope = rng.uniform(0.25, 0.55)
    top = neck[1] - 0.20 * width + dip + slope * np.maximum(0, dx - half)
    top += np.maximum(0, dx - half * 3) ** 1.5 * 0.02
    mask = smoothstep(-1.0, 1.0, y - top)
    color = rng.uniform(0.03, 0.95, 3)
    color = color + (color.mean() - color) * rng.uniform(0.1, 1)
    folds = nearest("soft", y * 0.5 + rng.uniform(0, 256), x * 1.1 + rng.uniform(0, 256))
    weave = _texture(rng, side) if rng.uniform() < 0.5 else np.zeros_like(folds)
    light = np.exp(0.16 * folds + rng.uniform(0, 0.2) * weave - 0.5 * smoothstep(6, 0, y - top))
    return linear(color) * light[..., None].astype(np.float32), mask


def strands(side: int, tones: Tones, phase: float) -> np.ndarray:
    """[side, side, 3]: hair hanging straight down the picture."""
    x, y = grid(side, side)
    bend = nearest("soft", x * 0.35 + phase, y * 0.35)
    fine = nearest("strands", x * 1.3 + 7 * bend + phase, y * 0.35 + phase)
    return tones.hair * np.exp(0.36 * fine + 0.30 * bend)[..., None].astype(np.float32)


def long_hair(
    rng: np.random.Generator, side: int, contour: np.ndarray, length: float
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (behind the head, curtain beside the face), 0..1, from the 17 contour points (px)."""
    right, left, chin = contour[0], contour[16], contour[8]
    across = (left - right) / max(np.linalg.norm(left - right), 1e-6)
    down = np.array([-across[1], across[0]])
    middle, width = (left + right) / 2, np.linalg.norm(left - right)
    height = max((chin - middle) @ down, 0.5 * width)
    wide, low = rng.uniform(0.56, 0.78, 2) * width, length * height
    flare = rng.uniform(0.85, 1.25)

    def polygon(points: list[tuple]) -> np.ndarray:
        picture = Image.new("L", (side, side))
        corners = [tuple(middle + u * across + v * down) for u, v in points]
        ImageDraw.Draw(picture).polygon(corners, fill=255)
        return np.asarray(picture, np.float32) / 255

    turn = np.linspace(np.pi, 2 * np.pi, 14)
    crown = [(0.60 * width * np.cos(a), -0.18 * width + 0.66 * width * np.sin(a)) for a in turn]
    ends = [(wide[1] * flare, low), (-wide[0] * flare, low * rng.uniform(0.9, 1.1))]
    behind = polygon([*crown, (wide[1], 0.1 * width), *ends, (-wide[0], 0.1 * width)])
    sides = []
    for sign, outer in ((-1, wide[0]), (1, wide[1])):
        inner = 0.46 * width * rng.uniform(0.92, 1.05)
        inside = [(0.92 * inner, -0.42 * width), (inner, 0), (0.98 * inner, 0.5 * height)]
        outside = [
            (0.95 * inner, low),
            (outer * flare, low),
            (outer, 0),
            (0.58 * width, -0.3 * width),
        ]
        sides.append(polygon([(sign * u, v) for u, v in inside + outside]))
    fray = smoothstep(0.35, 0.0, _distance_to_ends(side, middle, down, float(low)))
    x, y = grid(side, side)
    tips = nearest("strands", x * 0.9, y * 0.3)  # the ends of hair are not cut with a ruler
    keep = 1 - np.clip(fray * (0.5 + 0.7 * tips), 0, 1)
    return behind * keep, np.maximum(*sides) * keep


def _distance_to_ends(side: int, middle: np.ndarray, down: np.ndarray, low: float) -> np.ndarray:
    """How far above the hair's lower end each pixel lies, in lengths of the hair."""
    x, y = grid(side, side)
    c, s = (float(value / low) for value in down)
    return 1 - (x - float(middle[0])) * c - (y - float(middle[1])) * s

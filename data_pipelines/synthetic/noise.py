"""Cheap repeatable textures: tileable noise looked up at any coordinates, and box blurs.

The tiles are drawn once from fixed seeds; a scene moves and stretches them by its own numbers, so
a picture costs look-ups only and depends on nothing but its scene.
"""

from functools import cache, lru_cache

import numpy as np

SIZE = 256  # a power of two, so that wrapping is a mask


@cache
def tile(kind: str) -> np.ndarray:
    """A [256, 256] tile, zero mean, unit variance.

    Kinds: "fine" (white, a little soft), "cloud" (all scales), "soft" (large blobs only),
    "strands" (fine across, long along the second axis).
    """
    seed = {"fine": 1, "cloud": 2, "soft": 3, "strands": 4}[kind]
    white = np.random.default_rng([20261122, seed]).standard_normal((SIZE, SIZE))
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij")
    radius = np.hypot(fy, fx)
    gain = {
        "fine": np.exp(-((radius / 0.25) ** 2)),
        "cloud": 1 / (radius + 0.01),
        "soft": np.exp(-((radius / 0.02) ** 2)),
        "strands": np.exp(-((fx / 0.012) ** 2)) / (np.abs(fy) + 0.06),
    }[kind]
    gain[0, 0] = 0
    out = np.fft.irfft2(np.fft.rfft2(white) * gain, (SIZE, SIZE))
    return (out / out.std()).astype(np.float32)


def sample(kind: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The tile at (u, v) in texels, wrapped, bilinear. Any shape."""
    source = tile(kind)
    u0, v0 = np.floor(u), np.floor(v)
    a, b = (u - u0).astype(np.float32), (v - v0).astype(np.float32)
    i, j = u0.astype(np.int32) & (SIZE - 1), v0.astype(np.int32) & (SIZE - 1)
    i1, j1 = (i + 1) & (SIZE - 1), (j + 1) & (SIZE - 1)
    top = source[i, j] * (1 - b) + source[i, j1] * b
    return top * (1 - a) + (source[i1, j] * (1 - b) + source[i1, j1] * b) * a


def nearest(kind: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`sample` without interpolation: four times cheaper, for textures finer than a pixel."""
    i, j = np.int32(np.floor(u)) & (SIZE - 1), np.int32(np.floor(v)) & (SIZE - 1)
    return tile(kind).ravel().take(i * SIZE + j)


def box_blur(image: np.ndarray, radius: int, passes: int = 2) -> np.ndarray:
    """Repeated box mean over (2 radius + 1) squared pixels, edges repeated; [H, W] or [H, W, C]."""
    out = np.asarray(image, np.float32)
    if radius < 1:
        return out
    for _ in range(passes):
        for axis in (0, 1):
            out = _box(out, radius, axis)
    return out


def _box(image: np.ndarray, radius: int, axis: int) -> np.ndarray:
    size, step, at = image.shape[axis], 2 * radius + 1, (slice(None),) * axis
    total = np.empty((*image.shape[:axis], size + step, *image.shape[axis + 1 :]), np.float32)
    total[*at, : radius + 1] = image[*at, :1]
    total[*at, radius + 1 : radius + 1 + size] = image
    total[*at, radius + 1 + size :] = image[*at, -1:]
    total.cumsum(axis, out=total)
    out = total[*at, step:] - total[*at, :-step]
    out *= np.float32(1 / step)
    return out


@lru_cache(maxsize=8)
def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of every pixel, float32; shared, so not to be written to."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x.flags.writeable = y.flags.writeable = False
    return x, y


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below low, 1 above high, smooth between (low may exceed high: then it falls)."""
    unit = np.clip((x - low) / (high - low), 0, 1)
    return unit * unit * (3 - 2 * unit)

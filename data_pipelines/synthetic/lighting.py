"""Light on the head: lamps with soft wrapped diffuse, ambient light, occlusion and cast shadows.

Skin scatters light, most in red, so its diffuse term reaches round the terminator:
d_c = max(0, (n . l + w_c) / (1 + w_c)). Ambient light is the first band of spherical harmonics
(sky, ground, side). Occlusion and shadows are read off the depth buffer: a pixel lying behind its
blurred surroundings is dark; one whose way to the lamp passes behind a nearer pixel is in shadow.
"""

import numpy as np

from data_pipelines.synthetic.noise import box_blur
from data_pipelines.synthetic.scene import Lamp, Light

_WRAP = np.array([[0.30], [0.16], [0.12]], np.float32)


def diffuse(normals: np.ndarray, lamp: Lamp) -> np.ndarray:
    """[3, N] light of one lamp on normals [3, N]."""
    cosine = lamp.towards.astype(np.float32) @ normals
    color = lamp.color.astype(np.float32)[:, None] / (1 + _WRAP)
    return np.maximum(cosine + _WRAP, 0) * color


def ambient(normals: np.ndarray, light: Light) -> np.ndarray:
    """[3, N]: half sky, half ground at the horizon; `side` added to the subject's left."""
    sky, ground, side = (
        np.asarray(c, np.float32)[:, None] for c in (light.sky, light.ground, light.side)
    )
    flat = (sky + ground) / 2 + (sky - ground) / 2 * normals[1] + side * normals[0]
    return np.maximum(flat, 0)


def highlights(normals: np.ndarray, lamp: Lamp) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blinn-Phong lobes [N] of powers 8, 16 and 64, zero behind the terminator, with a rim."""
    towards = lamp.towards.astype(np.float32)
    half = towards + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half) + np.float32(1e-6)
    facing = 1 - np.clip(normals[2], 0, 1)
    fresnel = (0.35 + 0.65 * facing * facing) * (towards @ normals > 0)
    lobe = np.maximum(half @ normals, 0)
    for _ in range(3):  # by squaring: pow is ten times slower
        lobe = lobe * lobe
    wide = lobe * lobe
    narrow = wide * wide
    return lobe * fresnel, wide * fresnel, narrow * narrow * fresnel


def occlusion(depth: np.ndarray, scale: float) -> np.ndarray:
    """Openness 0..1 of each pixel of a depth buffer in metres (-inf: nothing), two radii.

    Found at half the resolution: it is smooth, and this is a third of the cost.
    """
    small = _openness(depth[::2, ::2], scale / 2)
    full = np.repeat(np.repeat(small, 2, 0), 2, 1)[: depth.shape[0], : depth.shape[1]]
    return box_blur(full, 1, passes=1)


def _openness(depth: np.ndarray, scale: float) -> np.ndarray:
    seen = np.isfinite(depth)
    filled, weight = np.where(seen, depth, 0), seen.astype(np.float32)
    out = np.ones_like(depth)
    for millimetres, strength in ((5, 0.50), (14, 0.45)):
        radius = max(1, round(scale * millimetres / 1000 / 2))
        mean = box_blur(filled, radius) / np.maximum(box_blur(weight, radius), 1e-3)
        behind = np.where(seen, mean - depth, 0) / (millimetres / 1000)
        out = out * np.exp(-strength * 2.2 * np.clip(behind - 0.03, 0, 1))
    return out


def cast_shadow(depth: np.ndarray, scale: float, towards: np.ndarray) -> np.ndarray:
    """Share of the lamp hidden at each pixel, by walking the depth buffer towards the lamp."""
    if towards[2] < 0.15:  # from the side or behind: the diffuse term already says no
        return np.zeros_like(depth)
    reach, steps = 0.055, 12  # metres, samples
    filled = np.where(np.isfinite(depth), depth, -1.0)
    hidden = np.zeros_like(filled)
    for step in range(1, steps + 1):
        way = reach * (step / steps) ** 1.5
        dx, dy = round(way * towards[0] * scale), round(-way * towards[1] * scale)
        if dx == 0 and dy == 0:
            continue
        over = _shift(filled, dy, dx) - (filled + way * towards[2] + 0.0015)
        hidden = np.maximum(hidden, np.clip(over / 0.004, 0, 1) * (over < 0.06))
    return box_blur(hidden, max(1, round(scale * 0.0012)))


def _shift(image: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """out[y, x] = image[y + dy, x + dx], -1 beyond the edge."""
    out = np.full_like(image, -1.0)
    height, width = image.shape
    if abs(dy) >= height or abs(dx) >= width:
        return out
    y0, y1, x0, x1 = max(0, -dy), min(height, height - dy), max(0, -dx), min(width, width - dx)
    out[y0:y1, x0:x1] = image[y0 + dy : y1 + dy, x0 + dx : x1 + dx]
    return out

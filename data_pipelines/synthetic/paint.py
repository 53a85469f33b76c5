"""Albedo of the head at each pixel: skin, brows, lips, beard, hair cap, eyes, teeth.

Works on flat arrays of the N covered pixels: the interpolated fields (see `fields`) and the kind of
the triangle. Colours are linear light, 0..1.
"""

import numpy as np

from data_pipelines.synthetic import fields as at
from data_pipelines.synthetic.noise import nearest, sample, smoothstep
from data_pipelines.synthetic.scene import Hair, Tones

_IRIS_ANGLE = 0.47  # radians, seen from the eyeball's centre
_TEETH = np.array([0.72, 0.66, 0.55], np.float32)
_TONGUE = np.array([0.42, 0.12, 0.11], np.float32)


def mix(a: np.ndarray, b: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """a where amount [N] is 0, b where it is 1; colours [N, 3] or [3]."""
    return a + (b - a) * amount[:, None]


def albedo(values: np.ndarray, kind: np.ndarray, tones: Tones, hair: Hair) -> tuple:
    """(colour [N, 3], gloss [N], hair amount [N])."""
    rest = values[:, at.REST]
    texel = rest * 1000.0  # millimetres
    color = _skin(texel, values, tones)
    gloss = np.full(len(values), 0.5 * tones.gloss, np.float32)
    color = _brows(color, texel, values, tones)
    color = _beard(color, texel, values, tones)
    color, gloss = _lips(color, gloss, texel, values, tones)
    amount = _hair_amount(texel, values, hair, tones)
    if hair.style != "bald":
        color = mix(color, hair_color(tones, texel[:, 0], texel[:, 1], texel[:, 2]), amount)
    gloss = gloss * (1 - amount)
    inside = kind == 4
    color[inside] *= np.array([0.35, 0.12, 0.10], np.float32)
    color[kind == 2], color[kind == 3] = _TEETH, _TONGUE
    gloss[kind >= 2] = 0.3
    eye = np.flatnonzero(kind == 1)
    color[eye], gloss[eye] = _eyes(values[eye, at.EYE], tones), 0.0
    return color, gloss, np.where(kind == 0, amount, 0)


def _skin(texel: np.ndarray, values: np.ndarray, tones: Tones) -> np.ndarray:
    o = tones.offset
    blotch = sample("cloud", texel[:, 0] * 0.9 + o[0], texel[:, 1] * 0.9 + texel[:, 2] + o[1])
    pores = nearest("fine", texel[:, 0] * 2.2 + o[2], (texel[:, 1] + texel[:, 2] * 0.7) * 2.2)
    shade = 1 + tones.mottle * (blotch + 0.6 * pores)
    color = tones.skin * np.maximum(shade, 0.3)[:, None]
    redness = tones.blush * values[:, at.BLUSH] + 0.25 * values[:, at.EAR] * tones.blush
    redness = redness + 0.5 * tones.mottle * blotch
    color *= np.exp(redness[:, None] * np.array([0.05, -0.55, -0.45], np.float32))
    if tones.freckles:
        spot = nearest("fine", texel[:, 0] * 0.8 + o[3], texel[:, 1] * 0.8 + o[4])
        near = np.exp(-((texel[:, 1] + 25) ** 2) / 35**2)
        dots = tones.freckles * smoothstep(1.0, 2.0, spot) * near
        color = mix(color, color * np.array([0.62, 0.48, 0.42], np.float32), dots)
    for x, y in tones.moles:
        gap = np.hypot(texel[:, 0] - 1000 * x, texel[:, 1] - 1000 * y)
        color = mix(color, color * 0.3, smoothstep(1.8, 0.8, gap) * (texel[:, 2] > -40))
    return color.astype(np.float32)


def _brows(color, texel, values, tones: Tones) -> np.ndarray:
    along, across = values[:, at.BROW_ALONG], values[:, at.BROW_ACROSS]
    near = np.flatnonzero((np.abs(across) < 0.014) & (along > -0.25) & (along < 1.35))
    if not len(near):
        return color
    along, across = along[near], across[near]
    profile = np.clip(1.05 - 0.75 * np.clip(along, 0, 1.2) ** 1.5, 0.15, 1)
    o = tones.offset
    strands = nearest("strands", texel[near, 0] * 4 + across * 3000 + o[5], along * 40 + o[6])
    width = tones.brow_width * profile * (1 + 0.18 * strands)
    body = smoothstep(width * 1.25, width * 0.5, np.abs(across + 0.0005))
    ends = smoothstep(-0.12, 0.10, along) * smoothstep(1.22, 0.95, along)
    amount = tones.brow_density * body * ends * np.clip(0.85 + 0.15 * strands, 0, 1)
    color[near] = mix(color[near], tones.brow, np.clip(amount, 0, 1))
    return color


def _beard(color, texel, values, tones: Tones) -> np.ndarray:
    if not (tones.stubble or tones.beard):
        return color
    weight = values[:, at.BEARD] * smoothstep(0.000, -0.0025, values[:, at.LIP])
    grain = nearest("fine", texel[:, 0] * 1.7, texel[:, 1] * 1.7 + texel[:, 2])
    tint = color * np.array([0.62, 0.66, 0.72], np.float32)
    color = mix(color, tint, np.clip(tones.stubble * weight * (1 + 0.25 * grain), 0, 1))
    if tones.beard:
        strands = sample("strands", texel[:, 0] * 3 + tones.offset[7], texel[:, 1] * 0.7)
        full = smoothstep(0.25, 0.6, weight + 0.12 * strands)
        hairy = tones.hair * np.exp(0.35 * strands)[:, None]
        color = mix(color, hairy, 0.93 * full)
    return color


def _lips(color, gloss, texel, values, tones: Tones) -> tuple[np.ndarray, np.ndarray]:
    near = np.flatnonzero(values[:, at.LIP] > -0.004)
    distance = values[near, at.LIP]
    amount = smoothstep(-0.0012, 0.0010, distance)
    lines = nearest("strands", texel[near, 0] * 2.5 + tones.offset[0], texel[near, 1] * 0.8)
    color[near] = mix(color[near], tones.lip * np.exp(0.06 * lines)[:, None], 0.92 * amount)
    gloss[near] = gloss[near] * (1 - amount) + amount * (0.35 + 0.8 * tones.gloss)
    return color, gloss


def _hair_amount(texel, values, hair: Hair, tones: Tones) -> np.ndarray:
    if hair.style == "bald":
        return np.zeros(len(values), np.float32)
    angle = np.arctan2(texel[:, 0], texel[:, 2] + 60) * 90
    jag = sample("strands", angle * 2.0 + tones.offset[1], texel[:, 1] * 0.4)
    inside = values[:, at.HAIR] - hair.height + 0.0022 * jag
    if hair.drop:
        front = smoothstep(20, 45, texel[:, 2] + 60 - np.abs(texel[:, 0]) * 0.4)
        inside = inside + front * (hair.drop + 0.004 * jag)
    edge = smoothstep(-0.001, 0.007, inside) * (1 - values[:, at.EAR])
    return edge * (0.55 if hair.style == "shaved" else 1.0)


def hair_color(tones: Tones, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Strands running down from the crown; x, y, z in millimetres."""
    angle = np.arctan2(x, z + 60) * 90
    bend = sample("soft", angle * 0.4 + tones.offset[2], y * 0.4)
    strands = nearest("strands", angle * 3.0 + 14 * bend + tones.offset[3], y * 0.8)
    return (tones.hair * np.exp(0.38 * strands + 0.22 * bend)[:, None]).astype(np.float32)


def _eyes(direction: np.ndarray, tones: Tones) -> np.ndarray:
    length = np.linalg.norm(direction, axis=1)
    unit = direction / np.maximum(length, 1e-6)[:, None]
    angle = np.arccos(np.clip(unit[:, 2], -1, 1))
    turn = np.arctan2(unit[:, 1], unit[:, 0])
    veins = nearest("cloud", unit[:, 0] * 120, unit[:, 1] * 120)
    white = np.array([0.66, 0.62, 0.59], np.float32) * np.exp(
        0.05 * veins[:, None] * np.array([0, 1, 1], np.float32)
        - 0.5 * np.maximum(angle - 0.7, 0)[:, None] * np.array([0.2, 0.8, 0.8], np.float32)
    )
    rays = nearest("strands", turn * 60 + tones.offset[4], angle * 60)
    iris = tones.iris * np.exp(0.25 * rays + 0.5 * smoothstep(0.42, 0.2, angle))[:, None]
    iris = iris * (1 - 0.75 * smoothstep(0.39, 0.47, angle))[:, None]
    color = mix(white, iris, smoothstep(_IRIS_ANGLE + 0.025, _IRIS_ANGLE - 0.025, angle))
    return color * (1 - 0.96 * smoothstep(tones.pupil + 0.03, tones.pupil - 0.03, angle))[:, None]

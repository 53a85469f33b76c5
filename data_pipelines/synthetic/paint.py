"""Albedo of the head at each pixel: skin, brows, lips, beard, hair cap, eyes, teeth.

Works on flat arrays of the N covered pixels: the interpolated fields (see `fields`) and the kind of
the triangle. Colours are linear light, 0..1, stored [3, N]: with the pixels last, NumPy's inner
loops are long.
"""

import numpy as np

from data_pipelines.synthetic import fields as at
from data_pipelines.synthetic.noise import nearest, sample, smoothstep
from data_pipelines.synthetic.scene import Hair, Tones

_IRIS_ANGLE = 0.47  # radians, seen from the eyeball's centre
_TEETH, _TONGUE = (0.62, 0.57, 0.47), (0.42, 0.12, 0.11)


def rgb(color) -> np.ndarray:
    """Three numbers as a column [3, 1] that goes with [3, N]."""
    return np.asarray(color, np.float32)[:, None]


def mix(a: np.ndarray, b: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """a where amount [N] is 0, b where it is 1; colours [3, N] or [3, 1]."""
    return a + (b - a) * amount


def albedo(values: np.ndarray, kind: np.ndarray, tones: Tones, hair: Hair) -> tuple:
    """(colour [3, N], gloss [N], hair amount [N]) from fields [13, N] and kinds [N]."""
    texel = values[at.REST] * 1000.0  # millimetres
    color = _skin(texel, values, tones)
    gloss = np.full(len(kind), 0.5 * tones.gloss, np.float32)
    _brows(color, texel, values, tones)
    color = _beard(color, texel, values, tones)
    _lips(color, gloss, texel, values, tones)
    amount = _hair_amount(texel, values, hair, tones)
    hairy = np.flatnonzero(amount > 0)
    strands = hair_color(tones, *texel[:, hairy])
    color[:, hairy] = mix(color[:, hairy], strands, amount[hairy])
    gloss *= 1 - amount
    color[:, kind == 4] *= rgb((0.35, 0.12, 0.10))
    color[:, kind == 2], color[:, kind == 3] = rgb(_TEETH), rgb(_TONGUE)
    gloss[kind >= 2] = 0.3
    eye = np.flatnonzero(kind == 1)
    color[:, eye], gloss[eye] = _eyes(values[at.EYE][:, eye], tones), 0.0
    return color, gloss, np.where(kind == 0, amount, 0)


def _skin(texel: np.ndarray, values: np.ndarray, tones: Tones) -> np.ndarray:
    o, (x, y, z) = tones.offset, texel
    blotch = nearest("cloud", x * 0.9 + o[0], y * 0.9 + z + o[1])
    pores = nearest("fine", x * 2.2 + o[2], (y + z * 0.7) * 2.2)
    shade = np.maximum(1 + tones.mottle * (blotch + 0.6 * pores), 0.3)
    redness = tones.blush * (values[at.BLUSH] + 0.25 * values[at.EAR]) + 0.5 * tones.mottle * blotch
    color = np.exp(redness * rgb((0.05, -0.55, -0.45))) * (rgb(tones.skin) * shade)
    if tones.freckles:
        spot = nearest("fine", x * 0.8 + o[3], y * 0.8 + o[4])
        dots = tones.freckles * smoothstep(1.0, 2.0, spot) * np.exp(-((y + 25) ** 2) / 35**2)
        color *= 1 - dots * rgb((0.38, 0.52, 0.58))
    for right, up in tones.moles:
        gap = np.hypot(x - 1000 * right, y - 1000 * up)
        color *= 1 - 0.7 * smoothstep(1.8, 0.8, gap) * (z > -40)
    return color.astype(np.float32)


def _brows(color, texel, values, tones: Tones) -> None:
    along, across = values[at.BROW_ALONG], values[at.BROW_ACROSS]
    near = np.flatnonzero((np.abs(across) < 0.014) & (along > -0.25) & (along < 1.35))
    along, across = along[near], across[near]
    profile = np.clip(1.05 - 0.75 * np.clip(along, 0, 1.2) ** 1.5, 0.15, 1)
    o = tones.offset
    strands = nearest("strands", texel[0, near] * 4 + across * 3000 + o[5], along * 40 + o[6])
    width = tones.brow_width * profile * (1 + 0.18 * strands)
    body = smoothstep(width * 1.25, width * 0.5, np.abs(across + 0.0005))
    ends = smoothstep(-0.12, 0.10, along) * smoothstep(1.22, 0.95, along)
    amount = tones.brow_density * body * ends * np.clip(0.85 + 0.15 * strands, 0, 1)
    color[:, near] = mix(color[:, near], rgb(tones.brow), np.clip(amount, 0, 1))


def _beard(color, texel, values, tones: Tones) -> np.ndarray:
    if not (tones.stubble or tones.beard):
        return color
    x, y, z = texel
    weight = values[at.BEARD] * smoothstep(0.000, -0.0025, values[at.LIP])
    grain = nearest("fine", x * 1.7, y * 1.7 + z)
    shade = np.clip(tones.stubble * weight * (1 + 0.25 * grain), 0, 1)
    color = color * (1 - shade * rgb((0.38, 0.34, 0.28)))
    if tones.beard:
        strands = sample("strands", x * 3 + tones.offset[7], y * 0.7)
        full = smoothstep(0.25, 0.6, weight + 0.12 * strands)
        color = mix(color, rgb(tones.hair) * np.exp(0.35 * strands), 0.93 * full)
    return color


def _lips(color, gloss, texel, values, tones: Tones) -> None:
    near = np.flatnonzero(values[at.LIP] > -0.004)
    amount = smoothstep(-0.0012, 0.0010, values[at.LIP, near])
    lines = nearest("strands", texel[0, near] * 2.5 + tones.offset[0], texel[1, near] * 0.8)
    color[:, near] = mix(color[:, near], rgb(tones.lip) * np.exp(0.06 * lines), 0.92 * amount)
    gloss[near] = gloss[near] * (1 - amount) + amount * (0.35 + 0.8 * tones.gloss)


def _hair_amount(texel, values, hair: Hair, tones: Tones) -> np.ndarray:
    x, y, z = texel
    amount = np.zeros(len(x), np.float32)
    if hair.style == "bald":
        return amount
    near = np.flatnonzero(values[at.HAIR] > hair.height - hair.drop - 0.03)
    x, y, z = x[near], y[near], z[near]
    angle = np.arctan2(x, z + 60) * 90
    jag = nearest("strands", angle * 2.0 + tones.offset[1], y * 0.4)
    inside = values[at.HAIR, near] - hair.height + 0.0022 * jag
    if hair.drop:
        front = smoothstep(20, 45, z + 60 - np.abs(x) * 0.4)
        inside = inside + front * (hair.drop + 0.004 * jag)
    edge = smoothstep(-0.001, 0.007, inside) * (1 - values[at.EAR, near])
    amount[near] = edge * (0.55 if hair.style == "shaved" else 1.0)
    return amount


def hair_color(tones: Tones, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """[3, N]: strands running down from the crown; x, y, z in millimetres."""
    angle = np.arctan2(x, z + 60) * 90
    bend = nearest("soft", angle * 0.4 + tones.offset[2], y * 0.4)
    strands = nearest("strands", angle * 3.0 + 14 * bend + tones.offset[3], y * 0.8)
    return rgb(tones.hair) * np.exp(0.38 * strands + 0.22 * bend)


def _eyes(direction: np.ndarray, tones: Tones) -> np.ndarray:
    length = np.sqrt((direction * direction).sum(0))
    x, y, z = direction / np.maximum(length, 1e-6)
    angle, turn = np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x)
    veins = 0.05 * nearest("cloud", x * 120, y * 120)
    corner = -0.5 * np.maximum(angle - 0.7, 0)
    white = rgb((0.66, 0.62, 0.59)) * np.exp(veins * rgb((0, 1, 1)) + corner * rgb((0.2, 0.8, 0.8)))
    rays = nearest("strands", turn * 60 + tones.offset[4], angle * 60)
    glow = np.exp(0.25 * rays + 0.5 * smoothstep(0.42, 0.2, angle))
    iris = rgb(tones.iris) * (glow * (1 - 0.75 * smoothstep(0.39, 0.47, angle)))
    color = mix(white, iris, smoothstep(_IRIS_ANGLE + 0.025, _IRIS_ANGLE - 0.025, angle))
    return color * (1 - 0.96 * smoothstep(tones.pupil + 0.03, tones.pupil - 0.03, angle))

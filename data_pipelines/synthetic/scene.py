"""What a synthetic picture shows, drawn at random: head, pose, light, tones, hair, surroundings.

Everything that a picture depends on is a number in `Scene`; `picture.render` adds no chance of its
own. Ranges are wide on purpose: a network that reads these pictures has to work on photographs.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Skin, from very light to very dark, sRGB.
SKIN = np.array(
    [
        (0.95, 0.80, 0.73), (0.92, 0.76, 0.66), (0.88, 0.70, 0.58), (0.80, 0.60, 0.47),
        (0.70, 0.50, 0.37), (0.58, 0.39, 0.28), (0.45, 0.29, 0.21), (0.32, 0.20, 0.15),
        (0.24, 0.15, 0.12),
    ]
)  # fmt: skip
HAIR = np.array(
    [
        (0.05, 0.04, 0.04), (0.10, 0.07, 0.05), (0.20, 0.12, 0.07), (0.34, 0.21, 0.12),
        (0.50, 0.33, 0.17), (0.72, 0.55, 0.32), (0.48, 0.20, 0.09), (0.55, 0.54, 0.53),
        (0.80, 0.79, 0.77),
    ]
)  # fmt: skip
_HAIR_LIGHT = np.array([0.26, 0.22, 0.16, 0.11, 0.08, 0.06, 0.04, 0.05, 0.02])
_HAIR_DARK = np.array([0.60, 0.24, 0.06, 0.00, 0.00, 0.00, 0.00, 0.08, 0.02])
IRIS = np.array(
    [
        (0.17, 0.10, 0.06), (0.28, 0.17, 0.09), (0.40, 0.27, 0.14), (0.38, 0.38, 0.22),
        (0.33, 0.42, 0.50), (0.45, 0.55, 0.62),
    ]
)  # fmt: skip
HAIR_STYLES = ("bald", "shaved", "short", "fringe", "long", "tied")


@dataclass(frozen=True)
class Body:
    """Coefficients as in FLAME: shape [S], expression [E]; rotations axis-angle in radians."""

    shape: Float[np.ndarray, "S"]
    expression: Float[np.ndarray, "E"]
    global_rotation: Float[np.ndarray, "3"]
    neck: Float[np.ndarray, "3"]
    jaw: Float[np.ndarray, "3"]
    eyes: Float[np.ndarray, "6"]


@dataclass(frozen=True)
class Tones:
    """Linear-light colours 0..1 of the head, and amounts."""

    skin: np.ndarray
    lip: np.ndarray
    hair: np.ndarray
    brow: np.ndarray
    iris: np.ndarray
    mottle: float
    freckles: float
    blush: float
    gloss: float
    pupil: float  # radians seen from the eyeball's centre
    brow_width: float  # metres, half
    brow_density: float
    stubble: float
    beard: float  # 0: none; length in metres
    lashes: float
    moles: np.ndarray  # [M, 2] metres right and up of the middle of the eyes
    offset: np.ndarray  # [8] texels: which part of the noise


@dataclass(frozen=True)
class Lamp:
    towards: np.ndarray
    color: np.ndarray


@dataclass(frozen=True)
class Light:
    """Directional lamps, key first; ambient light from above, below and the sides; exposure."""

    lamps: tuple[Lamp, ...]
    sky: np.ndarray
    ground: np.ndarray
    side: np.ndarray
    exposure: float
    shadow: float


@dataclass(frozen=True)
class Hair:
    style: str
    height: float  # metres by which the hairline is moved up
    volume: float  # metres
    drop: float  # metres by which a fringe falls over the forehead
    length: float  # of long hair, in face heights below the eyes


@dataclass(frozen=True)
class Scene:
    """One picture: see the parts. `share` is the face's width as a part of the picture's."""

    body: Body
    tones: Tones
    light: Light
    hair: Hair
    share: float
    centre: np.ndarray  # where the face's middle lies, 0..1
    seed: int  # of backdrop and sensor noise


def linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear light, by the power 2.2."""
    return np.clip(np.asarray(srgb, np.float32), 0, 1) ** np.float32(2.2)


def _along(table: np.ndarray, position: float) -> np.ndarray:
    place = np.clip(position, 0, 1) * (len(table) - 1)
    at = min(int(place), len(table) - 2)
    return table[at] + (table[at + 1] - table[at]) * (place - at)


def draw_tones(rng: np.random.Generator) -> Tones:
    """Skin of any human tone; hair, brows and iris as go with it."""
    tone = rng.uniform()
    skin = _along(SKIN, tone) * np.exp(rng.normal(0, [0.02, 0.03, 0.05]))
    share = _HAIR_LIGHT + (_HAIR_DARK - _HAIR_LIGHT) * min(1, tone * 1.6)
    share = np.maximum(share, 0) / np.maximum(share, 0).sum()
    shade = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.03, 3))
    hair = HAIR[rng.choice(len(HAIR), p=share)] * shade
    dyed = rng.uniform() < 0.02
    hair = rng.uniform(0.1, 0.7, 3) if dyed else hair
    brow = np.minimum(HAIR[rng.choice(3)] if dyed else hair, skin * rng.uniform(0.45, 0.75))
    lip = skin * np.array([1.0, rng.uniform(0.68, 0.85), rng.uniform(0.70, 0.88)])
    if rng.uniform() < 0.22:  # lipstick
        paint = np.array([rng.uniform(0.45, 0.8), rng.uniform(0.06, 0.24), rng.uniform(0.12, 0.36)])
        lip = lip + (paint - lip) * rng.uniform(0.3, 0.9)
    iris = IRIS[rng.choice(len(IRIS), p=_iris_shares(tone))] * np.exp(rng.normal(0, 0.12, 3))
    bearded = rng.uniform() < 0.22
    return Tones(
        skin=linear(skin), lip=linear(lip), hair=linear(hair), brow=linear(brow),
        iris=linear(iris), mottle=rng.uniform(0.015, 0.05),
        freckles=rng.uniform(0.2, 1.0) if rng.uniform() < 0.2 else 0.0,
        blush=rng.uniform(0.0, 0.35) * (1.2 - tone), gloss=rng.uniform(0.3, 1.3),
        pupil=rng.uniform(0.12, 0.24), brow_width=rng.uniform(0.0022, 0.0052),
        brow_density=rng.uniform(0.55, 1.0),
        stubble=rng.uniform(0.1, 0.6) if rng.uniform() < 0.35 else 0.0,
        beard=rng.uniform(0.002, 0.012) if bearded else 0.0, lashes=rng.uniform(0.25, 1.0),
        moles=rng.uniform([-0.06, -0.10], [0.06, 0.06], (rng.integers(0, 4), 2)).astype(np.float32),
        offset=rng.uniform(0, 256, 8).astype(np.float32),
    )  # fmt: skip


def _iris_shares(tone: float) -> np.ndarray:
    light, dark = np.array([0.2, 0.2, 0.2, 0.12, 0.16, 0.12]), np.array([0.6, 0.3, 0.1, 0, 0, 0])
    return light + (dark - light) * min(1.0, tone * 1.8)


def _towards(azimuth: float, elevation: float) -> np.ndarray:
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)


def _white(rng: np.random.Generator, spread: float) -> np.ndarray:
    """A light's colour between candle and shade, luminance near one."""
    warm = rng.normal(0, spread)
    color = np.exp(warm * np.array([1.0, 0.15, -1.1]) + rng.normal(0, 0.03, 3))
    return (color / color.mean()).astype(np.float32)


def draw_light(rng: np.random.Generator) -> Light:
    """A key lamp, mostly from above and in front; fill, perhaps a rim; sky, ground and sides."""
    azimuth = rng.normal(0, 38)
    key = Lamp(_towards(azimuth, rng.normal(28, 18)), _white(rng, 0.12) * rng.uniform(0.8, 1.8))
    fill_at = _towards(-np.sign(azimuth) * rng.uniform(20, 80), rng.uniform(-10, 40))
    lamps = [key, Lamp(fill_at, _white(rng, 0.15) * rng.uniform(0.05, 0.45))]
    if rng.uniform() < 0.35:
        around = rng.choice([-1, 1]) * rng.uniform(100, 150)
        lamps.append(Lamp(_towards(around, rng.uniform(0, 50)), _white(rng, 0.25) * 0.8))
    if rng.uniform() < 0.12:  # a coloured lamp
        hue = rng.dirichlet([0.8] * 3).astype(np.float32) * 3
        lamps.append(Lamp(_towards(rng.uniform(-80, 80), rng.uniform(-20, 40)), hue * 0.3))
    ambient = rng.uniform(0.08, 0.40)
    sky, ground = _white(rng, 0.1) * ambient, _white(rng, 0.1) * ambient * rng.uniform(0.35, 0.8)
    side = _white(rng, 0.2) * ambient * rng.uniform(-0.3, 0.3)
    exposure = float(np.exp(rng.normal(0.0, 0.2)))
    return Light(tuple(lamps), sky, ground, side, exposure, rng.uniform(0.2, 0.85))


def draw_hair(rng: np.random.Generator) -> Hair:
    style = str(rng.choice(HAIR_STYLES, p=[0.06, 0.08, 0.30, 0.16, 0.28, 0.12]))
    height = rng.normal(0.0, 0.006) + (rng.uniform(0, 0.03) if rng.uniform() < 0.12 else 0)
    thick = {"bald": 0.0, "shaved": 0.001, "tied": 0.006}.get(style, rng.uniform(0.008, 0.028))
    drop = rng.uniform(0.012, 0.036) if style == "fringe" or rng.uniform() < 0.1 else 0.0
    return Hair(style, float(height), float(thick), drop, rng.uniform(0.5, 1.6))


def draw_rotation(rng: np.random.Generator) -> np.ndarray:
    """Axis-angle of roll after pitch after yaw: degrees mostly within 25, at most 45, 20, 20."""
    wide = rng.uniform() < 0.2
    yaw = rng.uniform(-45, 45) if wide else np.clip(rng.normal(0, 13), -45, 45)
    pitch, roll = np.clip(rng.normal([2, 0], [7, 7]), -20, 20)
    y, p, r = np.radians([yaw, pitch, roll])
    half = [np.array([np.cos(a / 2), *(np.sin(a / 2) * np.eye(3)[k])])
            for a, k in ((r, 2), (p, 0), (y, 1))]  # fmt: skip
    quaternion = _times(_times(half[0], half[1]), half[2])
    axis = quaternion[1:] / max(np.linalg.norm(quaternion[1:]), 1e-12)
    return axis * 2 * np.arctan2(np.linalg.norm(quaternion[1:]), quaternion[0])


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The quaternion product a b (w, x, y, z)."""
    scalar = a[0] * b[0] - a[1:] @ b[1:]
    return np.array([scalar, *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])

"""Hands before a face, empty or holding a cup or a telephone. See `things` for the face's frame."""

from dataclasses import dataclass

import numpy as np

from data_pipelines.synthetic.canvas import Canvas, column, smooth
from data_pipelines.synthetic.cover import Cover, union
from data_pipelines.synthetic.noise import smoothstep
from data_pipelines.synthetic.things import Face, cloth_color, oval, skin_near, solid

# each finger's length and thickness, in palms, from the little one
_FINGERS = ((0.74, 0.20), (0.92, 0.22), (0.98, 0.225), (0.88, 0.215))
# where a hand lies (across, down, both in face widths) and how its fingers lean (degrees)
_PLACES = (
    ((0.05, 0.52), (60, 110)),  # over the mouth
    ((0.26, 0.32), (5, 60)),  # on the cheek
    ((0.20, 0.02), (10, 70)),  # over an eye
    ((0.12, 0.25), (0, 40)),  # over half the face
)


@dataclass(frozen=True)
class Hand:
    """The hand's own frame: `palm` is its middle, `ahead` the way the fingers point."""

    palm: np.ndarray
    ahead: np.ndarray
    aside: np.ndarray
    size: float  # pixels; the palm's length

    def at(self, along: float, across: float) -> np.ndarray:
        return self.palm + self.size * (along * self.ahead + across * self.aside)

    def points(self, *places: tuple[float, float]) -> np.ndarray:
        return np.array([self.at(*place) for place in places])


def _finger(canvas: Canvas, face: Face, skin, start, end, width: float) -> None:
    """A bent capsule with a nail and two creases."""
    length = np.linalg.norm(end - start)
    along = (end - start) / max(length, 1e-6)
    aside = np.array([-along[1], along[0]])
    middle = (start + end) / 2 - aside * 0.04 * length
    cover = canvas.stroke(smooth(np.array([start, middle, end]), closed=False), width)
    solid(canvas, face, cover, skin, 0.9 * width / face.unit, 0.7)
    nail = np.array([end - along * width * 0.20, end + along * width * 0.12])
    canvas.lay(
        np.clip(skin * [1.12, 1.05, 1.05] + 0.04, 0, 1), canvas.stroke(nail, width / 2).times(0.6)
    )
    for part in (0.42, 0.68):
        knuckle = start + (end - start) * part
        ends = np.array([knuckle - aside * 0.35 * width, knuckle + aside * 0.35 * width])
        canvas.lay(skin * 0.6, canvas.stroke(ends, 0.08 * width).times(0.35))


def _grip(rng, canvas: Canvas, face: Face, start, step, way, thick: float) -> None:
    """Four fingers round an object's edge, the first at `start`."""
    skin = skin_near(rng, face)
    for index in range(4):
        root, tone = start + step * index, rng.uniform(0.95, 1.04)
        _finger(canvas, face, skin * tone, root, root + way * rng.uniform(0.9, 1.1), thick)


def _place(rng: np.random.Generator, face: Face) -> Hand:
    side = rng.choice([-1, 1])
    (u, v), lean = _PLACES[rng.choice(len(_PLACES))]
    heading = np.radians(rng.uniform(*lean))
    ahead = -side * np.sin(heading) * face.across - np.cos(heading) * face.down
    size = rng.uniform(0.33, 0.45) * face.unit
    tip = face.at(u * side, v) + face.unit * rng.normal(0, 0.03, 2)
    return Hand(tip - ahead * 0.55 * size, ahead, np.array([-ahead[1], ahead[0]]), size)


def hand(rng, canvas: Canvas, face: Face) -> None:
    """A hand laid over mouth, cheek, one eye or half the face, with its forearm."""
    skin = skin_near(rng, face)
    own = _place(rng, face)
    arm = own.points((-0.62, 0.30), (-4.6, 0.45), (-4.6, -0.45), (-0.62, -0.30))
    palm = own.points(
        (0.48, 0.44), (0.52, -0.40), (0.0, -0.44), (-0.62, -0.32), (-0.62, 0.32), (0.0, 0.45)
    )
    cover = union(canvas.cover(smooth(palm)), canvas.cover(arm))
    spots = canvas.texture("cloud", rng.uniform(0, 256, 2), 100 / face.unit, 0.5, cover.box)
    tone = 1 + 0.03 * spots
    solid(canvas, face, cover, column(skin) * tone, 0.16, 0.55)
    if rng.uniform() < 0.5:
        sleeve = own.points((-0.95, 0.40), (-4.6, 0.55), (-4.6, -0.55), (-0.95, -0.40))
        solid(canvas, face, canvas.cover(sleeve), cloth_color(rng), 0.12, 0.5)
    spread, curl = rng.uniform(0.0, 0.16), rng.uniform(0.75, 1.0)
    for index, (reach, thick) in enumerate(_FINGERS):
        place = (index - 1.5) / 1.5
        reach = reach * curl * rng.uniform(0.94, 1.03)
        start, end = (
            own.at(0.40, 0.34 * place),
            own.at(0.40 + reach, (0.34 + spread * reach) * place),
        )
        _finger(canvas, face, skin * rng.uniform(0.95, 1.03), start, end, thick * own.size)
    thumb = rng.choice([-1, 1])
    start, end = own.at(-0.12, 0.37 * thumb), own.at(0.18, 0.75 * thumb)
    _finger(canvas, face, skin, start, end, 0.24 * own.size)


def cup(rng, canvas: Canvas, face: Face) -> None:
    """A mug or a paper cup held at the mouth."""
    top, tall = rng.uniform(0.26, 0.46), rng.uniform(0.50, 0.75)
    wide, taper = rng.uniform(0.22, 0.34), rng.uniform(0.75, 1.0)
    lean, shift = rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12)
    rim = face.points(*oval((shift, top), (wide, 0.16 * wide)))
    foot = face.points(*oval((shift + lean, top + tall), (wide * taper, 0.16 * wide)))
    half = len(rim) // 2
    wall = np.concatenate([rim[[half, 0]], foot[: half + 1]])
    cover = canvas.cover(wall, rim)
    u, v = face.coordinates(canvas, cover.box)
    fall = (v - top) / tall
    place = np.clip((u - shift - lean * fall) / wide, -1, 1)
    gleam = np.exp(-((place - rng.uniform(-0.6, 0.6)) ** 2) / 0.02)
    shade = (0.47 + 0.42 * np.sqrt(1 - place**2) + 0.25 * gleam) * face.light
    color = cloth_color(rng) if rng.uniform() < 0.7 else np.array([0.92, 0.91, 0.88])
    band = rng.uniform(0.1, 0.3) if rng.uniform() < 0.5 else -1.0
    stripe = smoothstep(band + 0.02, band, np.abs(fall - rng.uniform(0.3, 0.7)))
    painted = column(color) + column(cloth_color(rng) - color) * stripe
    canvas.shadow(cover, 0.05 * face.unit, 0.45)
    canvas.lay(np.clip(painted * shade, 0, 1), cover)
    edge = canvas.stroke(np.concatenate([rim, rim[:1]]), 0.014 * face.unit)
    canvas.lay(np.clip(color * 1.15 * face.light, 0, 1), edge)
    side = rng.choice([-1, 1])
    start = face.at(shift + side * wide * 1.05, top + 0.28 * tall)
    way = -side * 0.9 * wide * face.unit * face.across
    _grip(rng, canvas, face, start, 0.125 * face.unit * face.down, way, 0.13 * face.unit)


def phone(rng, canvas: Canvas, face: Face) -> None:
    """A telephone held before the face, its back to the camera, or at the cheek."""
    wide, tall = rng.uniform(0.30, 0.42), rng.uniform(0.60, 0.82)
    centre = face.at(rng.choice([-1, 1]) * rng.uniform(0.05, 0.36), rng.uniform(0.0, 0.5))
    turn = np.radians(rng.normal(0, 14)) + (np.pi / 2 if rng.uniform() < 0.15 else 0)
    right = np.cos(turn) * face.across + np.sin(turn) * face.down
    low = np.array([-right[1], right[0]])

    def box(at: tuple[float, float], size: tuple[float, float], corner: float) -> Cover:
        return canvas.cover(centre + face.unit * oval(at, size, corner) @ np.stack([right, low]))

    case = cloth_color(rng) * rng.uniform(0.2, 1.0) * face.light
    body = box((0, 0), (wide / 2, tall / 2), 0.22)
    sheen = canvas.texture("soft", rng.uniform(0, 256, 2), 40 / face.unit, 0.8, body.box)
    solid(canvas, face, body, column(case) * np.exp(0.08 * sheen), 0.03, 0.8)
    x, y = -0.25 * wide, -0.36 * tall
    canvas.lay(case * 0.7, box((x, y), (0.21 * wide, 0.10 * tall), 0.4))
    for dy in (-0.05, 0.05):
        lens = box((x - 0.06 * wide, y + dy * tall), (0.07 * wide, 0.07 * wide), 1.0)
        canvas.lay(np.array([0.03, 0.03, 0.05]), lens)
    hold = rng.choice([-1, 1])
    start = centre + face.unit * (hold * wide * 0.60 * right + 0.02 * low)
    way = -hold * face.unit * rng.uniform(0.12, 0.22) * right
    _grip(rng, canvas, face, start, 0.12 * face.unit * low, way, 0.12 * face.unit)

"""Things that hide parts of a face, each drawn onto a canvas at the face's landmarks.

Every function takes (rng, canvas, face) and changes the canvas.
"""

from dataclasses import dataclass

import numpy as np

from data_pipelines.synthetic.canvas import Canvas, column, smooth
from data_pipelines.synthetic.cover import Box, Cover, trimmed, union
from data_pipelines.synthetic.noise import box_blur, smoothstep
from data_pipelines.synthetic.scene import HAIR, SKIN


@dataclass(frozen=True)
class Face:
    """The face's frame in the picture, from 68 landmarks in pixels."""

    marks: np.ndarray
    middle: np.ndarray  # between the eyes
    across: np.ndarray  # unit, from the image-left to the image-right eye
    down: np.ndarray  # unit, across turned towards the chin
    unit: float  # pixels; the face's width, or what it would be seen from the front
    towards: np.ndarray  # where light comes from in the picture
    light: float  # how bright the picture is, about 1
    skin: np.ndarray  # the cheeks' colour, before anything covers them

    def at(self, u: float, v: float) -> np.ndarray:
        """The pixel at u across and v down from between the eyes, in face widths."""
        return self.middle + self.unit * (u * self.across + v * self.down)

    def points(self, *uv: tuple[float, float]) -> np.ndarray:
        return np.array([self.at(u, v) for u, v in uv])

    def coordinates(self, canvas: Canvas, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """(u, v) of every pixel of a box: the inverse of `at`, float32."""
        x, y = canvas.grid(box)
        c, s = (float(value / self.unit) for value in self.across)
        x0, y0 = (float(value) for value in self.middle)
        return (x - x0) * c + (y - y0) * s, (y - y0) * c - (x - x0) * s


def oval(middle: tuple, radii: tuple, power: float = 1.0) -> np.ndarray:
    """[40, 2] round a superellipse, from (+x, 0) towards (0, +y); power 1 ellipse, 0 box."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    round_ = np.stack([np.cos(turn), np.sin(turn)], 1)
    return np.sign(round_) * np.abs(round_) ** power * np.asarray(radii) + np.asarray(middle)


def face_of(rng: np.random.Generator, canvas: Canvas, marks: np.ndarray) -> Face:
    """Measure the face."""
    right, left = marks[36:42].mean(0), marks[42:48].mean(0)
    middle, chin = (right + left) / 2, marks[8]
    across = left - right
    across = across / max(np.linalg.norm(across), 1e-6)
    down = np.array([-across[1], across[0]])
    width = float(np.linalg.norm(marks[16] - marks[0]))
    unit = max(width, 1.15 * abs((chin - middle) @ down))
    around = canvas.first[_inside(marks, canvas)]
    light = float(np.clip(0.55 + around.mean(), 0.5, 1.25)) if around.size else 1.0
    towards = np.array([rng.uniform(-0.7, 0.7), -rng.uniform(0.5, 1.0)])
    spots = [marks[k] * 0.6 + marks[30] * 0.4 for k in (2, 3, 13, 14)]
    skin = np.sort([_pixel(canvas, spot) for spot in spots], axis=0)[1:3].mean(0)  # the median
    return Face(marks, middle, across, down, unit, towards, light, skin)


def _inside(marks: np.ndarray, canvas: Canvas) -> tuple[slice, slice]:
    low, high = np.floor(marks.min(0)).astype(int), np.ceil(marks.max(0)).astype(int)
    x0, y0 = np.clip(low, 0, [canvas.width - 1, canvas.height - 1])
    x1, y1 = np.clip(high, 1, [canvas.width, canvas.height])
    return slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1))


def cloth_color(rng: np.random.Generator) -> np.ndarray:
    color = rng.uniform(0.05, 0.95, 3)
    return color if rng.uniform() < 0.5 else 0.85 * color.mean() + 0.15 * color


def skin_near(rng: np.random.Generator, face: Face) -> np.ndarray:
    """The face's own colour (from the cheeks), or that of anybody else's hand."""
    stranger = rng.uniform() < 0.25
    color = SKIN[rng.integers(len(SKIN))] * face.light if stranger else face.skin
    return np.clip(color * np.exp(rng.normal(0, 0.06, 3)), 0.03, 1)


def _pixel(canvas: Canvas, spot: np.ndarray) -> np.ndarray:
    """The colour about a spot of the picture as it was at first."""
    x = int(min(max(spot[0], 2), canvas.width - 3))
    y = int(min(max(spot[1], 2), canvas.height - 3))
    return canvas.first[y - 2 : y + 3, x - 2 : x + 3].mean((0, 1))


def solid(
    canvas: Canvas, face: Face, cover: Cover, color: np.ndarray, thick: float, depth=0.5
) -> None:
    """A rounded body: contact shadow, then its colour lit by relief; `thick` in face widths."""
    canvas.solid(cover, color, thick * face.unit, face.towards, depth)


def _lenses(rng, face: Face, tall: float) -> list[np.ndarray]:
    """The outlines of both lenses, each as wide as its eye asks for."""
    eyes = [face.marks[36:42].mean(0), face.marks[42:48].mean(0)]
    gap = np.linalg.norm(eyes[1] - eyes[0])
    frame, power = np.stack([face.across, face.down]), rng.uniform(0.5, 1.0)
    out = []
    for eye, (a, b) in zip(eyes, ((36, 39), (42, 45)), strict=True):
        width = np.linalg.norm(face.marks[a] - face.marks[b]) * rng.uniform(0.82, 0.95)
        wide = np.clip(width, 0.25 * gap, 0.48 * gap)
        out.append(eye + oval((0, 0.1 * tall), (wide, tall), power) @ frame)
    return out


def _rims(canvas: Canvas, face: Face, lenses: list[np.ndarray], width: float) -> Cover:
    """Coverage of the frame: both rims, the bridge, the arms to the ears."""
    strokes = [canvas.stroke(np.concatenate([lens, lens[:1]]), width) for lens in lenses]
    inner = [lens[np.argmin(np.linalg.norm(lens - face.middle, axis=1))] for lens in lenses]
    bow = (inner[0] + inner[1]) / 2 - 0.02 * face.unit * face.down
    strokes.append(canvas.stroke(smooth(np.stack([inner[0], bow, inner[1]]), closed=False), width))
    for lens, ear in zip(lenses, (face.marks[0], face.marks[16]), strict=True):
        side = lens[np.argmin(np.linalg.norm(lens - ear, axis=1))]
        strokes.append(canvas.stroke(np.stack([side, ear - 0.04 * face.unit * face.down]), width))
    return union(*strokes)


def _spectacles(rng, canvas: Canvas, face: Face, dark: bool) -> None:
    tall = rng.uniform(0.11, 0.17) * (1.15 if dark else 1.0)
    lenses = _lenses(rng, face, tall * face.unit)
    glass = canvas.cover(*lenses)
    u, v = face.coordinates(canvas, glass.box)
    fall = v / tall
    tint = rng.uniform(0.0, 0.25, 3) if dark else rng.uniform(0.4, 1.0, 3)
    full = rng.uniform(0.82, 1.0) if dark else rng.uniform(0.06, 0.22)
    fade = rng.uniform(0, 0.4) if dark else 0.0
    clear = 1 - fade * np.clip(0.5 + fall / 2, 0, 1)
    canvas.lay(tint * face.light, glass.times(full).times(clear))
    streak = np.sin((u + v * rng.uniform(-1, 1)) * rng.uniform(8, 25) + rng.uniform(0, 6))
    shine = rng.uniform(0.05, 0.35) * smoothstep(0.2, 1.0, streak) * smoothstep(0.8, -0.9, fall)
    canvas.lay(np.array([0.9, 0.95, 1.0]) * face.light, glass.times(shine))
    color = cloth_color(rng) * rng.uniform(0.1, 0.8) * face.light
    rims = _rims(canvas, face, lenses, rng.uniform(0.010, 0.035) * face.unit)
    solid(canvas, face, rims, color, 0.02, 0.6)


def glasses(rng, canvas: Canvas, face: Face) -> None:
    _spectacles(rng, canvas, face, dark=False)


def sunglasses(rng, canvas: Canvas, face: Face) -> None:
    _spectacles(rng, canvas, face, dark=True)


def mask(rng, canvas: Canvas, face: Face) -> None:
    """A surgical or cloth mask with pleats and ear loops."""
    m, out = face.marks, rng.uniform(0.0, 0.03) * face.unit
    centre = m[[2, 14, 8]].mean(0)
    jaw = m[2:15] + out * (m[2:15] - centre) / np.linalg.norm(m[2:15] - centre, axis=1)[:, None]
    jaw[4:9] += rng.uniform(0.0, 0.04) * face.unit * face.down
    nose = m[27] + (m[30] - m[27]) * rng.uniform(0.35, 0.95)
    right, left = jaw[0] * 0.65 + nose * 0.35, jaw[-1] * 0.65 + nose * 0.35
    sag = rng.uniform(0.01, 0.05) * face.unit * face.down
    shape = smooth(np.concatenate([jaw, [left + sag, nose, right + sag]]), steps=5)
    cover = canvas.cover(shape)
    blue = np.array([0.62, 0.80, 0.88])
    plain = [blue, np.array([0.93, 0.94, 0.95]), np.array([0.08, 0.08, 0.09])]
    color = plain[rng.integers(3)] if rng.uniform() < 0.7 else cloth_color(rng)
    _, fall = face.coordinates(canvas, cover.box)
    pleats = 1 + rng.uniform(0, 0.10) * np.sin(fall * rng.uniform(35, 60) * 2) ** 3
    weave = canvas.texture("fine", rng.uniform(0, 256, 2), 1.0, 0.0, cover.box)
    creases = canvas.texture("soft", rng.uniform(0, 256, 2), 60 / face.unit, 0.3, cover.box)
    shade = (pleats + 0.012 * weave + 0.05 * creases) * face.light * 0.92
    for ear, corner, low in ((m[0], jaw[0], jaw[2]), (m[16], jaw[-1], jaw[-3])):
        for end in (corner, low):
            line = canvas.stroke(np.stack([ear, end]), 0.012 * face.unit)
            canvas.lay(np.array([0.85, 0.85, 0.85]) * face.light * 0.8, line)
    solid(canvas, face, cover, column(color) * shade, 0.16, 0.45)


def scarf(rng, canvas: Canvas, face: Face) -> None:
    """Cloth wound round the lower face, or a high collar."""
    top = rng.uniform(0.28, 0.56)
    lift = rng.uniform(-0.08, 0.08)
    over = np.linspace(-1, 1, 7)
    edge = [(0.62 * u, top + lift * u + 0.06 * u * u + rng.normal(0, 0.012)) for u in over]
    fall = [(0.70, top + 0.20 + lift), (0.80, 0.95), (1.25, 1.25), (1.3, 3.0)]
    left = [(-u, v - 2 * lift * (v < 0.9)) for u, v in fall[::-1]]
    cover = canvas.cover(smooth(face.points(*left, *edge, *fall), closed=False))
    color, other = cloth_color(rng), cloth_color(rng)
    knit = canvas.texture(
        "strands", rng.uniform(0, 256, 2), 130 / face.unit, rng.uniform(-0.4, 0.4), cover.box
    )
    lay = np.pi / 2 + lift
    folds = canvas.texture("strands", rng.uniform(0, 256, 2), 22 / face.unit, lay, cover.box)
    pattern = 0.0
    if rng.uniform() < 0.4:
        u, v = face.coordinates(canvas, cover.box)
        wave = np.sin((u * rng.uniform(-1, 1) + v) * rng.uniform(15, 50))
        pattern = smoothstep(-0.2, 0.2, wave) * rng.uniform(0.3, 1)
    cloth = column(color) + column(other - color) * pattern
    shade = np.exp(0.07 * knit + 0.16 * folds) * face.light * 0.9
    solid(canvas, face, cover, cloth * shade, 0.14, 0.6)


def hair(rng, canvas: Canvas, face: Face) -> None:
    """Locks falling over the forehead, one eye or one side."""
    color = HAIR[rng.choice(7)] * np.exp(rng.normal(0, 0.15, 3)) * face.light
    if rng.uniform() < 0.75:  # more likely the person's own, which begins above the forehead
        color = _pixel(canvas, face.at(0.1 * rng.normal(), -0.62)) * rng.uniform(0.8, 1.2)
    color = np.clip(color, 0.02, 0.9)
    side = rng.choice([-1, 1])
    sweep = rng.choice(["fringe", "side", "curtain"], p=[0.35, 0.45, 0.2])
    count = int(rng.integers(7, 13))
    locks = []
    for k in range(count):
        part = (k + rng.uniform(-0.4, 0.4)) / (count - 1)
        if sweep == "fringe":
            top, end = (-0.42 + 0.84 * part, -0.75), (-0.46 + 0.92 * part, rng.uniform(-0.12, 0.08))
        elif sweep == "side":
            top = (side * (-0.10 + 0.5 * part), -0.78)
            end = (side * (0.06 + 0.48 * part), rng.uniform(-0.05, 0.20) + 0.60 * part)
        else:
            s = 1 if k % 2 else -1
            top, end = (s * 0.30 * part, -0.80), (s * (0.30 + 0.25 * part), rng.uniform(0.4, 1.2))
        locks.append(_lock(rng, canvas, face, top, end))
    lean = float(np.arctan2(face.across[1], face.across[0]))
    cover = union(*locks)
    box = cover.box
    fibre = canvas.texture("strands", rng.uniform(0, 256, 2), 150 / face.unit, lean, box)
    gaps = canvas.texture("strands", rng.uniform(0, 256, 2), 90 / face.unit, 0.0, box)
    alpha = np.clip(cover.alpha * (1.02 + 0.10 * np.minimum(gaps, 0)), 0, 1)
    ring = np.exp(-(((face.coordinates(canvas, box)[1] + 0.3) / 0.12) ** 2))
    light = np.exp(0.30 * fibre) * (1 + 0.5 * ring)
    solid(canvas, face, Cover(box, alpha), column(color) * light, 0.05, 0.4)


def _lock(rng, canvas: Canvas, face: Face, top, end) -> Cover:
    """A tapering strand from top to end."""
    (u0, _), (u1, v1) = top, end
    v0 = -0.80 * np.sqrt(max(0.15, 1 - (u0 / 0.60) ** 2))  # on the skull's outline
    top = (u0, v0)
    middle = ((u0 + u1) / 2 + rng.normal(0, 0.03), (v0 + v1) / 2)
    line = smooth(face.points(top, middle, end), closed=False, steps=8)
    wide = rng.uniform(0.045, 0.075) * face.unit * np.linspace(1, 0.12, len(line)) ** 0.7
    across = face.across * wide[:, None]
    return canvas.cover(np.concatenate([line - across, (line + across)[::-1]]))


def block(rng, canvas: Canvas, face: Face) -> None:
    """One to three plain or textured shapes."""
    for _ in range(int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
        u, v = rng.uniform(-0.38, 0.38), rng.uniform(-0.25, 0.75)
        w, h = rng.uniform(0.18, 0.46, 2)
        turn = rng.uniform(0, np.pi)
        count = int(rng.choice([4, 5, 6, 24]))
        angle = (
            np.sort(rng.uniform(0, 2 * np.pi, count))
            if 4 < count < 24
            else np.arange(count) * 2 * np.pi / count
        )
        shape = [(u + w * np.cos(a + turn), v + h * np.sin(a + turn)) for a in angle]
        cover = canvas.cover(face.points(*shape))
        kind = str(rng.choice(["cloud", "soft", "fine", "strands"]))
        noise = canvas.texture(kind, rng.uniform(0, 256, 2), rng.uniform(0.3, 2), turn, cover.box)
        color = column(rng.uniform(0, 1, 3)) + rng.uniform(0, 0.25) * noise
        wide = cover.widened(1, canvas.height, canvas.width)
        edge = np.minimum(wide.alpha, box_blur(wide.alpha, 1, 1) * 1.2)
        rows, columns = wide.box
        canvas.lay(np.clip(color, 0, 1), trimmed(rows.start, columns.start, edge))


def border(rng, canvas: Canvas, face: Face) -> None:
    """The face cut off as by the picture's border: a flat colour from one side."""
    x, y = canvas.grid((slice(0, canvas.height), slice(0, canvas.width)))
    low, high = face.marks.min(0), face.marks.max(0)
    part = rng.uniform(0.15, 0.42)
    where = rng.choice(["left", "right", "below", "above"], p=[0.3, 0.3, 0.3, 0.1])
    cut = {
        "left": x < low[0] + part * (high[0] - low[0]),
        "right": x > high[0] - part * (high[0] - low[0]),
        "below": y > high[1] - part * (high[1] - low[1]),
        "above": y < low[1] + (0.6 * part) * (high[1] - low[1]),
    }[str(where)]
    color = (
        rng.choice([0.0, 0.0, 0.5, 1.0]) * np.ones(3)
        if rng.uniform() < 0.8
        else rng.uniform(0, 1, 3)
    )
    canvas.lay(color, trimmed(0, 0, cut * np.ones_like(canvas.keep)))

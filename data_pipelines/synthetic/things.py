"""Things that hide parts of a face, each drawn onto a canvas at the face's landmarks.

Every function takes (rng, canvas, face) and changes the canvas.
"""

from dataclasses import dataclass

import numpy as np

from data_pipelines.synthetic.canvas import Canvas, smooth
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

    def at(self, u: float, v: float) -> np.ndarray:
        """The pixel at u across and v down from between the eyes, in face widths."""
        return self.middle + self.unit * (u * self.across + v * self.down)

    def points(self, *uv: tuple[float, float]) -> np.ndarray:
        return np.array([self.at(u, v) for u, v in uv])


def face_of(rng: np.random.Generator, canvas: Canvas, marks: np.ndarray) -> Face:
    """Measure the face."""
    right, left = marks[36:42].mean(0), marks[42:48].mean(0)
    middle, chin = (right + left) / 2, marks[8]
    across = left - right
    across = across / max(np.linalg.norm(across), 1e-6)
    down = np.array([-across[1], across[0]])
    width = np.linalg.norm(marks[16] - marks[0])
    unit = max(width, 1.15 * abs((chin - middle) @ down))
    around = canvas.image[_inside(marks, canvas)]
    light = float(np.clip(0.55 + around.mean(), 0.5, 1.25)) if around.size else 1.0
    towards = np.array([rng.uniform(-0.7, 0.7), -rng.uniform(0.5, 1.0)])
    return Face(marks, middle, across, down, unit, towards, light)


def _inside(marks: np.ndarray, canvas: Canvas) -> tuple[slice, slice]:
    low, high = np.floor(marks.min(0)).astype(int), np.ceil(marks.max(0)).astype(int)
    x0, y0 = np.clip(low, 0, [canvas.width - 1, canvas.height - 1])
    x1, y1 = np.clip(high, 1, [canvas.width, canvas.height])
    return slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1))


def cloth_color(rng: np.random.Generator) -> np.ndarray:
    color = rng.uniform(0.05, 0.95, 3)
    return color if rng.uniform() < 0.5 else 0.85 * color.mean() + 0.15 * color


def skin_near(rng: np.random.Generator, canvas: Canvas, face: Face) -> np.ndarray:
    """The face's own colour (from the cheeks), or that of anybody else's hand."""
    if rng.uniform() < 0.25:
        return SKIN[rng.integers(len(SKIN))] * face.light
    spots = [face.marks[k] * 0.6 + face.marks[30] * 0.4 for k in (2, 3, 13, 14)]
    pixels = [_pixel(canvas, spot) for spot in spots]
    return np.median(pixels, axis=0) * np.exp(rng.normal(0, 0.06, 3))


def _pixel(canvas: Canvas, spot: np.ndarray) -> np.ndarray:
    x = int(np.clip(spot[0], 2, canvas.width - 3))
    y = int(np.clip(spot[1], 2, canvas.height - 3))
    return canvas.image[y - 2 : y + 3, x - 2 : x + 3].mean((0, 1))


def solid(
    canvas: Canvas, face: Face, alpha: np.ndarray, color: np.ndarray, thick: float, depth=0.5
) -> None:
    """A rounded body: contact shadow, then its colour lit by relief; `thick` in face widths."""
    canvas.solid(alpha, color, thick * face.unit, face.towards, depth)


def _lens(face: Face, eye: np.ndarray, size: np.ndarray, power: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    shape = np.stack([np.sign(c) * np.abs(c) ** power, np.sign(s) * np.abs(s) ** power], 1) * size
    shape[:, 1] += 0.1 * size[1]
    return eye + shape[:, :1] * face.across + shape[:, 1:] * face.down


def _spectacles(rng, canvas: Canvas, face: Face, dark: bool) -> None:
    eyes = [face.marks[36:42].mean(0), face.marks[42:48].mean(0)]
    gap = np.linalg.norm(eyes[1] - eyes[0])
    tall = rng.uniform(0.11, 0.17) * face.unit * (1.15 if dark else 1.0)
    near = [np.linalg.norm(face.marks[a] - face.marks[b]) for a, b in ((36, 39), (42, 45))]
    power, frame = rng.uniform(0.5, 1.0), rng.uniform(0.010, 0.035) * face.unit
    lenses = []
    for eye, width in zip(eyes, near, strict=True):
        wide = min(max(width * rng.uniform(0.82, 0.95), 0.25 * gap), 0.48 * gap)
        lenses.append(_lens(face, eye, np.array([wide, tall]), power))
    glass = canvas.cover(*lenses)
    tint = rng.uniform(0.0, 0.25, 3) if dark else rng.uniform(0.4, 1.0, 3)
    x, y = canvas.grid()
    fall = ((x - face.middle[0]) * face.down[0] + (y - face.middle[1]) * face.down[1]) / tall
    full = rng.uniform(0.82, 1.0) if dark else rng.uniform(0.06, 0.22)
    strength = full * (1 - (rng.uniform(0, 0.4) if dark else 0) * np.clip(0.5 + fall / 2, 0, 1))
    canvas.lay(tint * face.light, glass * strength)
    streak = np.sin((x + y * rng.uniform(-1, 1)) / face.unit * rng.uniform(8, 25) + rng.uniform(0, 6))
    shine = rng.uniform(0.05, 0.35) * smoothstep(0.2, 1.0, streak) * smoothstep(0.8, -0.9, fall)
    canvas.lay(np.array([0.9, 0.95, 1.0]) * face.light, glass * shine)
    color = cloth_color(rng) * rng.uniform(0.1, 0.8) * face.light
    rims = [canvas.stroke(np.concatenate([lens, lens[:1]]), frame) for lens in lenses]
    inner = [lens[np.argmin(np.linalg.norm(lens - face.middle, axis=1))] for lens in lenses]
    bow = (inner[0] + inner[1]) / 2 - 0.02 * face.unit * face.down
    rims.append(canvas.stroke(smooth([inner[0], bow, inner[1]], closed=False), frame))
    for lens, ear in zip(lenses, (face.marks[0], face.marks[16]), strict=True):
        side = lens[np.argmin(np.linalg.norm(lens - ear, axis=1))]
        rims.append(canvas.stroke(np.stack([side, ear - 0.04 * face.unit * face.down]), frame))
    solid(canvas, face, np.clip(np.max(rims, 0), 0, 1), color, 0.02, 0.6)


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
    nose = m[27] + (m[30] - m[27]) * rng.uniform(0.25, 0.85)
    right, left = jaw[0] * 0.65 + nose * 0.35, jaw[-1] * 0.65 + nose * 0.35
    sag = rng.uniform(0.01, 0.05) * face.unit * face.down
    shape = smooth(np.concatenate([jaw, [left + sag, nose, right + sag]]), steps=5)
    alpha = canvas.cover(shape)
    blue = np.array([0.62, 0.80, 0.88])
    plain = [blue, np.array([0.93, 0.94, 0.95]), np.array([0.08, 0.08, 0.09])]
    color = plain[rng.integers(3)] if rng.uniform() < 0.7 else cloth_color(rng)
    x, y = canvas.grid()
    fall = ((x - nose[0]) * face.down[0] + (y - nose[1]) * face.down[1]) / face.unit
    pleats = 1 + rng.uniform(0, 0.10) * np.sin(fall * rng.uniform(35, 60) * 2) ** 3
    weave = canvas.texture("fine", rng.uniform(0, 256, 2), 1.0, 0.0)
    creases = canvas.texture("soft", rng.uniform(0, 256, 2), 60 / face.unit, 0.3)
    shade = (pleats + 0.012 * weave + 0.05 * creases) * face.light * 0.92
    for ear, corner, low in ((m[0], jaw[0], jaw[2]), (m[16], jaw[-1], jaw[-3])):
        for end in (corner, low):
            line = canvas.stroke(np.stack([ear, end]), 0.012 * face.unit)
            canvas.lay(np.array([0.85, 0.85, 0.85]) * face.light * 0.8, line)
    solid(canvas, face, alpha, color * shade[..., None], 0.16, 0.45)


def scarf(rng, canvas: Canvas, face: Face) -> None:
    """Cloth wound round the lower face, or a high collar."""
    top = rng.uniform(0.22, 0.50)
    lift = rng.uniform(-0.08, 0.08)
    edge = [(u, top + lift * u + 0.10 * u * u + rng.normal(0, 0.012)) for u in np.linspace(-1, 1, 9)]
    edge = [(u * 0.75, v) for u, v in edge]
    curve = smooth(face.points(*edge), closed=False)
    alpha = canvas.cover(np.concatenate([curve, face.points((1.1, 2.6), (-1.1, 2.6))]))
    color, other = cloth_color(rng), cloth_color(rng)
    knit = canvas.texture("strands", rng.uniform(0, 256, 2), 130 / face.unit, rng.uniform(-0.4, 0.4))
    folds = canvas.texture("strands", rng.uniform(0, 256, 2), 22 / face.unit, np.pi / 2 + lift)
    pattern = 0.0
    if rng.uniform() < 0.4:
        x, y = canvas.grid()
        wave = np.sin((x * rng.uniform(-1, 1) + y) / face.unit * rng.uniform(15, 50))
        pattern = smoothstep(-0.2, 0.2, wave)[..., None] * rng.uniform(0.3, 1)
    cloth = color + (other - color) * pattern
    shade = np.exp(0.07 * knit + 0.16 * folds) * face.light * 0.9
    solid(canvas, face, alpha, cloth * shade[..., None], 0.14, 0.6)


def _finger(canvas, face, skin, start, end, width) -> None:
    middle = (start + end) / 2
    bend = np.array([start[1] - end[1], end[0] - start[0]]) * 0.04
    line = smooth([start, middle + bend, end], closed=False)
    alpha = canvas.stroke(line, width)
    solid(canvas, face, alpha, skin, 0.9 * width / face.unit, 0.7)
    along = (end - start) / max(np.linalg.norm(end - start), 1e-6)
    nail = canvas.stroke(np.stack([end - along * width * 0.20, end + along * width * 0.12]), 0.5 * width)
    canvas.lay(np.clip(skin * [1.12, 1.05, 1.05] + 0.04, 0, 1), 0.6 * nail)
    for part in (0.42, 0.68):  # creases at the joints
        knuckle = start + (end - start) * part
        side = np.array([-along[1], along[0]]) * width * 0.35
        crease = canvas.stroke(np.stack([knuckle - side, knuckle + side]), 0.08 * width)
        canvas.lay(skin * 0.6, 0.35 * crease)


def hand(rng, canvas: Canvas, face: Face) -> None:
    """A hand laid over mouth, cheek, one eye or half the face, with its forearm."""
    skin = np.clip(skin_near(rng, canvas, face), 0.03, 1)
    side = rng.choice([-1, 1])
    spot = rng.choice(4)
    goal = [(0.05 * side, 0.52), (0.26 * side, 0.32), (0.20 * side, 0.02), (0.12 * side, 0.25)][spot]
    heading = np.radians([rng.uniform(60, 110), rng.uniform(5, 60), rng.uniform(10, 70), rng.uniform(0, 40)][spot])
    point = np.array([-side * np.sin(heading), -np.cos(heading)])  # fingers, in (across, down)
    frame = np.stack([face.across, face.down])
    ahead = point @ frame
    aside = np.array([-ahead[1], ahead[0]])
    size = rng.uniform(0.42, 0.56) * face.unit  # the palm's length
    tip = face.at(*goal) + face.unit * rng.normal(0, 0.03, 2)
    palm = tip - ahead * 0.55 * size
    wrist = palm - ahead * 0.62 * size
    wide = 0.44 * size
    arm = np.stack([wrist + aside * 0.30 * size, wrist - ahead * 4 * size + aside * 0.45 * size,
                    wrist - ahead * 4 * size - aside * 0.45 * size, wrist - aside * 0.30 * size])  # fmt: skip
    body = smooth([palm + ahead * 0.48 * size + aside * wide, palm + ahead * 0.52 * size - aside * wide * 0.9,
                   palm - aside * wide * 1.0, wrist - aside * 0.32 * size, wrist + aside * 0.32 * size,
                   palm + aside * wide * 1.02])  # fmt: skip
    tone = 1 + 0.03 * canvas.texture("cloud", rng.uniform(0, 256, 2), 100 / face.unit, 0.5)
    color = skin * tone[..., None]
    sleeve = rng.uniform() < 0.5
    alpha = np.maximum(canvas.cover(body), canvas.cover(arm))
    solid(canvas, face, alpha, color, 0.16, 0.55)
    if sleeve:
        cuff = canvas.cover(arm + (-ahead * 0.35 * size) - 0.0)
        solid(canvas, face, cuff, cloth_color(rng), 0.12, 0.5)
    spread = rng.uniform(0.0, 0.16)
    curl = rng.uniform(0.75, 1.0)
    for index, (reach, thick) in enumerate(((0.74, 0.19), (0.92, 0.21), (0.98, 0.215), (0.88, 0.205))):
        place = (index - 1.5) / 1.5
        root = palm + ahead * 0.40 * size + aside * place * wide * 0.78
        way = ahead + aside * place * spread
        end = root + way * reach * size * curl * rng.uniform(0.94, 1.03)
        _finger(canvas, face, skin * rng.uniform(0.95, 1.03), root, end, thick * size * 1.05)
    thumb = rng.choice([-1, 1])
    root = palm - ahead * 0.12 * size + aside * thumb * wide * 0.85
    _finger(canvas, face, skin, root, root + (ahead * 0.6 + aside * thumb * 0.75) * 0.5 * size, 0.24 * size)


def _grip(rng, canvas: Canvas, face: Face, skin, start, step, way, count: int, thick: float) -> None:
    """Fingers round an object's edge."""
    for index in range(count):
        root = start + step * index
        _finger(canvas, face, skin * rng.uniform(0.95, 1.04), root, root + way * rng.uniform(0.9, 1.1), thick)


def cup(rng, canvas: Canvas, face: Face) -> None:
    """A mug or a paper cup held at the mouth."""
    top, tall = rng.uniform(0.26, 0.46), rng.uniform(0.50, 0.75)
    wide, taper = rng.uniform(0.22, 0.34), rng.uniform(0.75, 1.0)
    lean, shift = rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12)
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    oval = 0.16 * wide

    def ring(v: float, radius: float, centre: float) -> np.ndarray:
        return face.points(*[(centre + radius * np.cos(a), v + oval * np.sin(a)) for a in turn])

    low = top + tall
    half = turn <= np.pi
    rim, foot = ring(top, wide, shift), ring(low, wide * taper, shift + lean)
    body = np.concatenate([rim[~half], foot[half]])
    alpha = np.maximum(canvas.cover(np.concatenate([[rim[16]], foot[half][::-1], [rim[0]]])), canvas.cover(rim))
    alpha = np.maximum(alpha, canvas.cover(foot)) if len(body) else alpha
    color = cloth_color(rng) if rng.uniform() < 0.7 else np.array([0.92, 0.91, 0.88])
    x, y = canvas.grid()
    across = ((x - face.middle[0]) * face.across[0] + (y - face.middle[1]) * face.across[1]) / face.unit
    fall = ((x - face.middle[0]) * face.down[0] + (y - face.middle[1]) * face.down[1]) / face.unit
    place = np.clip((across - shift - lean * (fall - top) / tall) / wide, -1, 1)
    peak = rng.uniform(-0.6, 0.6)
    shade = 0.55 + 0.5 * np.sqrt(1 - place**2) + 0.30 * np.exp(-((place - peak) ** 2) / 0.02)
    shade = shade * face.light * 0.85
    band = rng.uniform(0.3, 0.7)
    stripe = smoothstep(0.22, 0.20, np.abs((fall - top) / tall - band))[..., None]
    color = color + (cloth_color(rng) - color) * stripe * (rng.uniform() < 0.5)
    canvas.shadow(alpha, 0.05 * face.unit, 0.45)
    canvas.lay(np.clip(color * shade[..., None], 0, 1), alpha)
    edge = canvas.stroke(np.concatenate([rim, rim[:1]]), 0.014 * face.unit)
    canvas.lay(np.clip(color * 1.15 * face.light, 0, 1), edge)
    side = rng.choice([-1, 1])
    skin = np.clip(skin_near(rng, canvas, face), 0.03, 1)
    start = face.at(shift + side * wide * 1.05, top + 0.28 * tall)
    _grip(rng, canvas, face, skin, start, face.unit * 0.125 * face.down, -side * face.unit * 0.9 * wide * face.across, 4, 0.13 * face.unit)


def phone(rng, canvas: Canvas, face: Face) -> None:
    """A telephone held before the face, back to the camera, or at the cheek."""
    wide, tall = rng.uniform(0.34, 0.48), rng.uniform(0.68, 0.90)
    side = rng.choice([-1, 1])
    centre = face.at(side * rng.uniform(0.05, 0.36), rng.uniform(0.0, 0.5))
    turn = np.radians(rng.normal(0, 14)) + (np.pi / 2 if rng.uniform() < 0.15 else 0)
    right = np.cos(turn) * face.across + np.sin(turn) * face.down
    low = np.array([-right[1], right[0]])

    def box(w: float, h: float, corner: float, at=(0.0, 0.0)) -> np.ndarray:
        a = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        c, s = np.cos(a), np.sin(a)
        u = np.sign(c) * np.abs(c) ** corner * w / 2 + at[0]
        v = np.sign(s) * np.abs(s) ** corner * h / 2 + at[1]
        return centre + face.unit * (u[:, None] * right + v[:, None] * low)

    case = cloth_color(rng) * rng.uniform(0.2, 1.0) * face.light
    sheen = canvas.texture("soft", rng.uniform(0, 256, 2), 40 / face.unit, 0.8)
    alpha = canvas.cover(box(wide, tall, 0.22))
    solid(canvas, face, alpha, case * np.exp(0.08 * sheen)[..., None], 0.03, 0.8)
    island = (-0.25 * wide, -0.36 * tall)
    canvas.lay(case * 0.7, canvas.cover(box(0.42 * wide, 0.20 * tall, 0.4, island)))
    for dy in (-0.05, 0.05):
        lens = canvas.cover(box(0.14 * wide, 0.14 * wide, 1.0, (island[0] - 0.06 * wide, island[1] + dy * tall)))
        canvas.lay(np.array([0.03, 0.03, 0.05]), lens)
    skin = np.clip(skin_near(rng, canvas, face), 0.03, 1)
    hold = rng.choice([-1, 1])
    start = centre + face.unit * (hold * wide * 0.60 * right + 0.02 * low)
    way = -hold * face.unit * rng.uniform(0.12, 0.22) * right
    _grip(rng, canvas, face, skin, start, face.unit * 0.12 * low, way, 4, 0.12 * face.unit)


def hair(rng, canvas: Canvas, face: Face) -> None:
    """Locks falling over the forehead, one eye or one side."""
    color = np.clip(HAIR[rng.choice(7)] * np.exp(rng.normal(0, 0.15, 3)) * face.light * 1.1, 0.02, 1)
    side = rng.choice([-1, 1])
    sweep = rng.choice(["fringe", "side", "curtain"], p=[0.35, 0.45, 0.2])
    count = int(rng.integers(10, 18))
    coverage = np.zeros((canvas.height, canvas.width), np.float32)
    for k in range(count):
        part = (k + rng.uniform(-0.4, 0.4)) / (count - 1)
        if sweep == "fringe":
            top, end = (-0.42 + 0.84 * part, -0.75), (-0.46 + 0.92 * part, rng.uniform(-0.12, 0.08))
        elif sweep == "side":
            top = (side * (-0.10 + 0.5 * part), -0.78)
            end = (side * (0.02 + 0.50 * part), rng.uniform(0.05, 0.25) + 0.75 * part)
        else:
            s = 1 if k % 2 else -1
            top, end = (s * 0.30 * part, -0.80), (s * (0.30 + 0.25 * part), rng.uniform(0.4, 1.2))
        coverage = np.maximum(coverage, _lock(rng, canvas, face, top, end))
    fibre = canvas.texture("strands", rng.uniform(0, 256, 2), 150 / face.unit, np.arctan2(face.across[1], face.across[0]))
    gaps = canvas.texture("strands", rng.uniform(0, 256, 2), 90 / face.unit, 0.0)
    alpha = np.clip(coverage * (1.02 + 0.10 * np.minimum(gaps, 0)), 0, 1)
    _, y = canvas.grid()
    ring = np.exp(-(((y - face.at(0, -0.3)[1]) / (0.12 * face.unit)) ** 2))
    light = np.exp(0.30 * fibre) * (1 + 0.5 * ring)
    solid(canvas, face, alpha, color * light[..., None], 0.05, 0.4)


def _lock(rng, canvas: Canvas, face: Face, top, end) -> np.ndarray:
    """A tapering strand from top to end."""
    (u0, v0), (u1, v1) = top, end
    middle = ((u0 + u1) / 2 + rng.normal(0, 0.03), (v0 + v1) / 2)
    line = smooth(face.points(top, middle, end), closed=False, steps=8)
    wide = rng.uniform(0.05, 0.085) * face.unit * np.linspace(1, 0.12, len(line)) ** 0.7
    across = face.across * wide[:, None]
    return canvas.cover(np.concatenate([line - across, (line + across)[::-1]]))


def block(rng, canvas: Canvas, face: Face) -> None:
    """One to three plain or textured shapes."""
    for _ in range(int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
        u, v = rng.uniform(-0.38, 0.38), rng.uniform(-0.25, 0.75)
        w, h = rng.uniform(0.18, 0.46, 2)
        turn = rng.uniform(0, np.pi)
        count = int(rng.choice([4, 5, 6, 24]))
        angle = np.sort(rng.uniform(0, 2 * np.pi, count)) if 4 < count < 24 else np.arange(count) * 2 * np.pi / count
        shape = [(u + w * np.cos(a + turn), v + h * np.sin(a + turn)) for a in angle]
        alpha = canvas.cover(face.points(*shape))
        kind = str(rng.choice(["cloud", "soft", "fine", "strands"]))
        noise = canvas.texture(kind, rng.uniform(0, 256, 2), rng.uniform(0.3, 2), turn)
        color = rng.uniform(0, 1, 3) + rng.uniform(0, 0.25) * noise[..., None]
        canvas.lay(np.clip(color, 0, 1), np.minimum(alpha, box_blur(alpha, 1, 1) * 1.2))


def border(rng, canvas: Canvas, face: Face) -> None:
    """The face cut off as by the picture's border: a flat colour from one side."""
    x, y = canvas.grid()
    low, high = face.marks.min(0), face.marks.max(0)
    part = rng.uniform(0.15, 0.42)
    where = rng.choice(["left", "right", "below", "above"], p=[0.3, 0.3, 0.3, 0.1])
    cut = {
        "left": x < low[0] + part * (high[0] - low[0]),
        "right": x > high[0] - part * (high[0] - low[0]),
        "below": y > high[1] - part * (high[1] - low[1]),
        "above": y < low[1] + (0.6 * part) * (high[1] - low[1]),
    }[str(where)]
    color = rng.choice([0.0, 0.0, 0.5, 1.0]) * np.ones(3) if rng.uniform() < 0.8 else rng.uniform(0, 1, 3)
    canvas.lay(color, cut.astype(np.float32))

"""Smooth fields over the head's surface from which a picture paints brows, lips, hair and beard.

Each field is a number per vertex on the mean head at rest (metres or 0..1); the rasteriser
interpolates it, and thresholding it at a pixel gives an edge much sharper than the mesh. So brows
of any thickness, hairlines of any height and irises of any size need no texture image.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from data_pipelines.synthetic.noise import smoothstep

# columns of Fields.values
REST = slice(0, 3)  # position on the mean head, metres, centred between the eyes
BROW_ALONG, BROW_ACROSS = 3, 4  # 0 inner end to 1 outer end; metres above the brow's line
LIP = 5  # metres inside the lips' edge, negative outside
HAIR = 6  # metres inside the ordinary hairline, negative outside
BEARD, BLUSH = 7, 8  # 0..1
EYE = slice(9, 12)  # unit direction from the eyeball's centre, its own frame; zero elsewhere
EAR = 12  # 0..1
COLUMNS = 13


@dataclass(frozen=True)
class Fields:
    """values per vertex; kind per triangle: an index into KINDS."""

    values: Float[np.ndarray, "V 13"]
    kind: Int[np.ndarray, "F"]
    faces: Int[np.ndarray, "F 3"]
    landmarks: Float[np.ndarray, "68 3"]


KINDS = ("skin", "eye", "teeth", "tongue", "inner")


def _kinds(material: np.ndarray, names: list[str]) -> np.ndarray:
    """The project's material names, reduced to what is painted differently."""
    rules = (("eye", 1), ("teeth", 2), ("tongue", 3), ("inner", 4))
    table = np.zeros(len(names), np.int8)
    for index, name in enumerate(names):
        table[index] = next((kind for part, kind in rules if part in name), 0)
    return table[material]


def brow_line(rest: np.ndarray, marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(along, across) of both brows: a parabola through the five landmarks, in |x| and y."""
    points = np.concatenate([marks[17:22] * [-1, 1, 1], marks[22:27]])
    points[:, 0] = np.abs(points[:, 0])
    curve = np.polyfit(points[:, 0], points[:, 1], 2)
    inner, outer = np.sort(points[:, 0])[[0, -1]]
    x = np.abs(rest[:, 0])
    along = (x - inner) / (outer - inner)
    across = rest[:, 1] - np.polyval(curve, np.clip(x, inner - 0.01, outer + 0.02))
    behind = rest[:, 2] < marks[[17, 26], 2].min() - 0.02
    return along, np.where(behind, 1.0, across)


def lip_distance(rest: np.ndarray, faces: np.ndarray, is_lip: np.ndarray) -> np.ndarray:
    """Distance to the lips' edge, positive on the lips (vertices of any lip triangle)."""
    inside = np.zeros(len(rest), bool)
    inside[faces[is_lip]] = True
    other = np.zeros(len(rest), bool)
    other[faces[~is_lip]] = True
    edge = rest[inside & other]
    near = np.flatnonzero(np.abs(rest - edge.mean(0)).max(1) < 0.07)
    gap = np.linalg.norm(rest[near, None] - edge[None], axis=-1).min(1)
    out = np.full(len(rest), -0.05)
    out[near] = np.where(inside[near], gap, -gap)
    return out


def hairline(rest: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Height above the hairline, which falls from the forehead over the temples to the nape."""
    brow, eye = marks[17:27, 1].max(), marks[36:48, 1].mean()
    nose, mouth = marks[33, 1], marks[48:60, 1].mean()
    centre = marks[[0, 16], 2].mean() + 0.005
    angle = np.degrees(np.arctan2(np.abs(rest[:, 0]), rest[:, 2] - centre))
    turn = [0, 25, 42, 55, 66, 76, 84, 92, 104, 118, 135, 180]
    height = [brow + 0.047, brow + 0.046, brow + 0.040, brow + 0.022, brow + 0.004]
    height += [eye, eye - 0.004, eye + 0.022, eye + 0.026, eye - 0.005, nose - 0.01, mouth - 0.02]
    return rest[:, 1] - np.interp(angle, turn, height)


def beard_weight(rest: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Moustache, chin and jaw up to the sideburns; fading down the neck."""
    nose, mouth, chin = marks[33, 1], marks[48:60, 1].mean(), marks[8, 1]
    corner, side = np.abs(marks[[48, 54], 0]).mean(), np.abs(marks[[1, 15], 0]).mean()
    x = np.abs(rest[:, 0])
    turn = [0, corner * 0.5, corner * 1.25, corner * 1.7, side * 0.95, side * 1.2]
    upper = [nose - 0.001, nose - 0.002, mouth + 0.006, mouth - 0.002, nose + 0.01, nose + 0.03]
    below = smoothstep(0.0, 0.012, np.interp(x, turn, upper) - rest[:, 1])
    fade = smoothstep(chin - 0.05, chin - 0.015, rest[:, 1])
    front = smoothstep(marks[[0, 16], 2].mean() - 0.01, marks[[0, 16], 2].mean() + 0.02, rest[:, 2])
    return below * fade * front


def blush_weight(rest: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Cheeks, tip of the nose, ears."""
    eye, corner = marks[[36, 39, 42, 45]], marks[[48, 54]]
    cheek = np.array(
        [np.abs(eye[:, 0]).mean() * 1.25, (eye[:, 1].mean() + corner[:, 1].mean()) / 2]
    )
    spread = ((np.abs(rest[:, 0]) - cheek[0]) / 0.022) ** 2 + ((rest[:, 1] - cheek[1]) / 0.016) ** 2
    tip = ((rest - marks[30]) ** 2).sum(1) / 0.013**2
    return np.maximum(np.exp(-spread) * (rest[:, 2] > 0), 0.8 * np.exp(-tip))


def eye_directions(
    rest: np.ndarray, faces: np.ndarray, kind: np.ndarray
) -> tuple[np.ndarray, float]:
    """Unit directions from each eyeball's centre (zero elsewhere), and the eyeball's radius."""
    out, radii = np.zeros_like(rest), []
    eye = np.unique(faces[kind == 1])
    for side in (eye[rest[eye, 0] > 0], eye[rest[eye, 0] < 0]):
        if not len(side):
            continue
        centre = (rest[side].max(0) + rest[side].min(0)) / 2
        offset = rest[side] - centre
        radius = np.linalg.norm(offset, axis=1)
        out[side] = offset / radius[:, None]
        radii.append(np.median(radius))
    return out, float(np.mean(radii)) if radii else 0.012


def make(
    template: np.ndarray, faces: np.ndarray, marks: np.ndarray, material: np.ndarray, names
) -> Fields:
    """All fields of a head at rest, with its 68 landmarks and each triangle's material."""
    names = [str(name) for name in names]
    middle = marks[36:48].mean(0)
    rest, marks = template - middle, marks - middle
    kind = _kinds(material, names)
    is_lip = np.array(["lip" in name for name in names])[material]
    is_ear = np.array([name.startswith("ear") for name in names])[material]
    values = np.zeros((len(rest), COLUMNS), np.float32)
    values[:, REST] = rest
    values[:, BROW_ALONG], values[:, BROW_ACROSS] = brow_line(rest, marks)
    values[:, LIP] = lip_distance(rest, faces, is_lip) if is_lip.any() else -0.05
    values[:, HAIR] = hairline(rest, marks)
    values[:, BEARD] = beard_weight(rest, marks)
    values[:, BLUSH] = blush_weight(rest, marks)
    values[:, EYE], _ = eye_directions(rest, faces, kind)
    values[np.unique(faces[is_ear]), EAR] = 1
    return Fields(values, kind, np.asarray(faces, np.int64), marks)

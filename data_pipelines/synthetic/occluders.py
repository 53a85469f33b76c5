"""Hide part of a face: choose a thing, draw it at the landmarks, keep how much it hides sensible.

Works on a synthetic picture (float, before the camera) and on a photograph (uint8) alike. The mask
is true exactly where the pictures differ as uint8: the thing, its soft edge, its contact shadow,
and tinted glass, even if one sees through it.
"""

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from PIL import Image, ImageDraw

from data_pipelines.synthetic import hands, things
from data_pipelines.synthetic.canvas import Canvas

KINDS = {
    "glasses": (0.10, things.glasses),
    "sunglasses": (0.10, things.sunglasses),
    "mask": (0.12, things.mask),
    "scarf": (0.07, things.scarf),
    "hand": (0.10, hands.hand),
    "cup": (0.05, hands.cup),
    "phone": (0.05, hands.phone),
    "hair": (0.15, things.hair),
    "block": (0.15, things.block),
    "border": (0.10, things.border),
}
LEAST, MOST = 0.08, 0.60  # shares of the face that a thing hides
_TRIES = 3


def apply(
    rng: np.random.Generator,
    image: Shaped[np.ndarray, "H W 3"],
    landmarks: Float[np.ndarray, "68 2"],
    kind: str | None = None,
) -> tuple[Shaped[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"], str]:
    """(the picture with something before the face, where it differs, the thing's name).

    image: uint8, or float 0..1; the answer has the same type. landmarks: the 68 points in pixels.
    kind: one of KINDS, or None to draw one. Drawn anew, up to 3 times, until it hides between
    8 % and 60 % of the face.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"no occluder {kind!r}; there are {sorted(KINDS)}")
    marks = checked(landmarks)
    if kind is None:
        shares = np.array([share for share, _ in KINDS.values()])
        kind = str(rng.choice(list(KINDS), p=shares / shares.sum()))
    area = face_area(marks, image.shape[:2])
    hidden = np.zeros(image.shape[:2], bool)
    for _ in range(_TRIES):
        canvas = draw(rng, image, marks, kind)
        box, out = canvas.box, np.clip(canvas.image, 0, 1)
        hidden[:] = False
        hidden[box] = differ(as_uint8(out[box]), as_uint8(image[box]))
        if LEAST <= share(hidden, area) <= MOST:
            break
    return (as_uint8(out) if image.dtype == np.uint8 else out), hidden, kind


def checked(landmarks: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "68 2"]:
    """The landmarks as float64; ValueError if they are not 68 finite points."""
    marks = np.asarray(landmarks, float)
    if marks.shape != (68, 2) or not np.isfinite(marks).all():
        raise ValueError(f"landmarks must be 68 finite points, not shape {list(marks.shape)}")
    return marks


def draw(rng: np.random.Generator, image: np.ndarray, marks: np.ndarray, kind: str) -> Canvas:
    """The picture with a thing of KINDS on it, however much it hides."""
    canvas = Canvas(image)
    KINDS[kind][1](rng, canvas, things.face_of(rng, canvas, marks))
    return canvas


def as_uint8(image: np.ndarray) -> np.ndarray:
    """Float 0..1 rounded to 0..255; uint8 as it is."""
    if image.dtype == np.uint8:
        return image
    return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)


def differ(a: UInt8[np.ndarray, "H W 3"], b: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
    """Where two pictures are not the same."""
    other = a != b
    return other[..., 0] | other[..., 1] | other[..., 2]


def face_area(
    landmarks: Float[np.ndarray, "68 2"], size: tuple[int, int]
) -> Bool[np.ndarray, "H W"]:
    """The face in the picture: the contour, and the forehead up to the hairline."""
    marks = np.asarray(landmarks, float)
    up = 0.42 * (marks[27] - marks[8])
    outline = np.concatenate([marks[:17], (marks[26:16:-1] + up)])
    picture = Image.new("L", (size[1], size[0]))
    ImageDraw.Draw(picture).polygon([tuple(point) for point in outline], fill=1)
    return np.asarray(picture).view(bool)


def share(mask: Bool[np.ndarray, "H W"], area: Bool[np.ndarray, "H W"]) -> float:
    """The part of the face's area that the mask hides, 0..1."""
    return np.count_nonzero(mask & area) / max(np.count_nonzero(area), 1)

"""Hide parts of faces while training: things placed at landmarks, cut-outs, darkness, blur.

What is drawn is a function of the random numbers alone: `rng(seed, index)` gives those of an
example in an epoch, whichever process or worker asks. It is drawn on the 224 crop; the 112 crop
sees the very same through the map between both. The mask is true exactly where the 224 crop was
changed: a thing, its soft edge and its shadow; all of a dark picture.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from data_pipelines.layers import Blur, Box, Effect, Layer, Matrix, Picture
from data_pipelines.synthetic import noise, occluders, things
from data_pipelines.synthetic.canvas import Canvas, column

# How often each is drawn: the things of the synthetic set, and what it has not.
KINDS = {name: share for name, (share, _) in occluders.KINDS.items()} | {
    "cut-out": 0.12,
    "dark": 0.10,
    "blur": 0.10,
}
_STREAM = 0x0CC1  # keeps these numbers apart from others of the same seed and index
_TRIES = 3
_CLEAR = 0.97  # what lets more through than this does not count as hidden


@dataclass(frozen=True)
class Settings:
    """How much is hidden; `config.input.augment` has these fields.

    share: of the examples that something happens to, 0..1. strength, 0..2: things and cut-outs
    hide 8 % to 60 % of the face times this, darkness and blur deepen with it; 1 is as in the
    synthetic set. kinds: names of those wanted, () for all.
    """

    share: float = 0.5
    strength: float = 1.0
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"augment.share is {self.share}: it has to lie between 0 and 1")
        if not 0 <= self.strength <= 2:
            raise ValueError(f"augment.strength is {self.strength}: it has to lie between 0 and 2")
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise ValueError(f"augment.kinds has {unknown[0]!r}; there are {sorted(KINDS)}")


def rng(seed: int, *index: int) -> np.random.Generator:
    """The random numbers of an example: index = epoch * N + example (or several numbers)."""
    return np.random.default_rng([_STREAM, seed, *index])


def occlude(
    rng: np.random.Generator,
    crop_224: Picture,
    landmarks: Float[np.ndarray, "68 2"],
    settings: Settings,
) -> tuple[Picture, Bool[np.ndarray, "H W"], str]:
    """(the crop with something before the face, where it differs, the kind: '' for nothing).

    Args:
      rng: see `rng`.
      crop_224: uint8 RGB of any size; it is left as it is.
      landmarks: the 68 points, pixels of the crop.
      settings: how much.
    """
    effect, kind = draw(rng, crop_224, landmarks, settings)
    if effect is None:
        return crop_224, np.zeros(crop_224.shape[:2], bool), kind
    out = effect.over(crop_224)
    return out, occluders.differ(out, crop_224), kind


def both(
    rng: np.random.Generator,
    crop_112: Picture,
    crop_224: Picture,
    landmarks: Float[np.ndarray, "68 2"],
    to_112: Matrix,
    settings: Settings,
) -> tuple[Picture, Picture, str]:
    """(crop_112, crop_224, kind), both crops behind the same thing.

    to_112 [2, 3] maps pixels of crop_224 to those of crop_112; the rest as in `occlude`.
    """
    effect, kind = draw(rng, crop_224, landmarks, settings)
    if effect is None:
        return crop_112, crop_224, kind
    return effect.seen(to_112, len(crop_112)).over(crop_112), effect.over(crop_224), kind


def draw(
    rng: np.random.Generator, crop: Picture, landmarks: np.ndarray, settings: Settings
) -> tuple[Effect | None, str]:
    """What happens to an example, and its kind; None and '' for nothing."""
    marks = occluders.checked(landmarks)
    if rng.uniform() >= settings.share or not settings.strength:
        return None, ""
    names = settings.kinds or tuple(KINDS)
    shares = np.cumsum([KINDS[name] for name in names])
    limits = np.minimum(settings.strength * np.array([occluders.LEAST, occluders.MOST]), 0.95)
    area, best = None, (np.inf, None, "")
    for _ in range(_TRIES):
        kind = names[int(np.searchsorted(shares, rng.uniform() * shares[-1], side="right"))]
        if kind in _LIGHTS:
            return _LIGHTS[kind](rng, crop, marks, settings.strength), kind
        layer = _thing(rng, crop, marks, kind, settings.strength)
        area = occluders.face_area(marks, crop.shape[:2]) if area is None else area
        covered = layer.planes[0] < _CLEAR
        hidden = np.count_nonzero(covered & area[layer.box]) / max(np.count_nonzero(area), 1)
        beyond = max(limits[0] - hidden, hidden - limits[1])
        if beyond < best[0]:
            best = beyond, layer, kind
        if beyond <= 0:
            break
    return best[1:]


def _thing(rng, crop: Picture, marks: np.ndarray, kind: str, strength: float) -> Layer:
    """A thing as the synthetic set draws it, or a cut-out, with a camera's grain on it."""
    canvas = Canvas(crop)
    face = things.face_of(rng, canvas, marks)
    if kind == "cut-out":
        _cut_out(rng, canvas, face, strength)
    else:
        occluders.KINDS[kind][1](rng, canvas, face)
    rows, columns = canvas.box
    box = (
        slice(max(rows.start - 1, 0), min(rows.stop + 1, canvas.height)),
        slice(max(columns.start - 1, 0), min(columns.stop + 1, canvas.width)),
    )
    keep = canvas.keep[box]
    planes = np.empty((4, *keep.shape), np.float32)
    planes[0], add = keep, planes[1:]
    first = np.ascontiguousarray(crop[box].transpose(2, 0, 1))
    np.subtract(canvas.planes[:, *box], first * (keep * np.float32(1 / 255)), out=add)
    if kind not in ("cut-out", "border"):  # which no camera saw
        height, width = keep.shape
        add += (1 - keep) * rng.uniform(0, 0.02) * _grain(rng, (slice(0, height), slice(0, width)))
        if _is_grey(crop):
            mean = np.stack(list(add), -1) @ np.full((3, 3), 1 / 3, np.float32)
            add[:] = mean.transpose(2, 0, 1)
    return Layer((canvas.height, canvas.width), box, planes)


def _grain(rng: np.random.Generator, box: Box) -> np.ndarray:
    """Noise [h, w] of unit variance in a box, of any part of the tile."""
    tile, offset = noise.tile("fine"), rng.integers(0, noise.SIZE, 2)
    rows, columns = (
        np.arange(part.start + at, part.stop + at) % noise.SIZE
        for part, at in zip(box, offset, strict=True)
    )
    return tile.take(rows, 0).take(columns, 1)


def _is_grey(crop: Picture) -> bool:
    """Whether it is a black-and-white picture."""
    few = np.ascontiguousarray(crop[::8, ::8].transpose(2, 0, 1))
    return int((few.max(0) - few.min(0)).max()) < 8


def _cut_out(rng, canvas: Canvas, face: things.Face, strength: float) -> None:
    """One to three boxes or ovals without picture, each at a landmark."""
    grow = float(np.sqrt(strength))
    for _ in range(int(rng.integers(1, 4))):
        at = face.marks[rng.integers(68)] + face.unit * rng.normal(0, 0.08, 2)
        half = rng.uniform(0.08, 0.26, 2) * face.unit * grow
        power = 1.0 if rng.uniform() < 0.3 else 0.0
        cover = canvas.cover(at + things.oval((0, 0), half, power))
        fill = rng.choice([0.0, 0.5, 1.0, rng.uniform()]) * np.ones(3)
        if rng.uniform() < 0.3:
            fill = canvas.image.mean((0, 1))
        if rng.uniform() < 0.2:
            grain = 0.3 * _grain(rng, cover.box)
            fill = np.clip(0.5 + grain * column(rng.uniform(0, 1, 3)), 0, 1)
        canvas.lay(fill, cover)


def _dark(rng, crop: Picture, marks: np.ndarray, strength: float) -> Layer:
    """Too little light, on all of the picture or on one side of the face, with a camera's noise."""
    whole = rng.uniform() < 0.6
    lost = np.minimum(strength * rng.uniform(0.45, 0.88 if whole else 0.8), 0.94)
    keep = np.full(crop.shape[:2], 1 - lost, np.float32)
    if not whole:
        keep = 1 - lost * _one_side(rng, crop.shape, marks)
    box = slice(0, len(crop)), slice(0, crop.shape[1])
    tint = column(rng.normal(0, 0.02, 3)) + rng.uniform(0.003, 0.02) * _grain(rng, box)
    planes = np.empty((4, *keep.shape), np.float32)
    planes[0], planes[1:] = keep, (1 - keep) * tint
    return Layer(crop.shape[:2], box, planes)


def _blur(rng, crop: Picture, marks: np.ndarray, strength: float) -> Blur:
    """Out of focus: all of the picture, or one side of the face as behind wet glass."""
    whole = rng.uniform() < 0.6
    radius = strength * rng.uniform(0.012, 0.05) * _width(marks)
    if whole:
        soft = np.ones(crop.shape[:2], np.float32)
    else:
        soft, radius = _one_side(rng, crop.shape, marks), 1.5 * radius
    return Blur(soft, float(radius))


def _one_side(rng, shape: tuple[int, ...], marks: np.ndarray) -> np.ndarray:
    """[H, W] from 0 to 1 across an edge of any direction through the face."""
    x, y = noise.grid(*shape[:2])
    turn, width = rng.uniform(0, 2 * np.pi), _width(marks)
    across = np.array([np.cos(turn), np.sin(turn)])
    middle = marks[27:36].mean(0) @ across + width * rng.uniform(-0.2, 0.2)
    soft = rng.uniform(0.04, 0.35) * width
    far = x * float(across[0]) + y * float(across[1])
    return noise.smoothstep(middle - soft, middle + soft, far).astype(np.float32)


def _width(marks: np.ndarray) -> float:
    """Of the face, pixels."""
    return float(max(np.ptp(marks[:, 0]), np.ptp(marks[:, 1])))


_LIGHTS = {"dark": _dark, "blur": _blur}

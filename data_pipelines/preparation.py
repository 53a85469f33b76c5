"""Entries of a data set -> records: the face found, two aligned crops, points and coefficients.

From a raw photograph the face nearest to the picture's centre is taken, of those whose score is
high enough. Its five points give ArcFace's crop; the larger crop follows one of two conventions:

    box     upright, 1.6 times the face's box, as OFER has it (and as photographs are read here)
    five    the same five-point fit at twice the size, as MICA has it

Prepared crops are taken as they are, and where one lies in the other is found by `registering`.
What cannot be used becomes a rejection with one of `REASONS` (or of `sets.REASONS`).
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from data_pipelines import looking, points68, registering, sets, stored
from data_pipelines.sets import Entry, Fault, Rejection
from ofer_jax import photos
from ofer_jax.faces import Face, align
from ofer_jax.pickles import npy

UNREADABLE = "picture unreadable"
NO_FACE = "no face"
LOW_SCORE = "low score"
NO_POINTS = "no usable points"
BAD_CROP = "crop unreadable"
WRONG_SIZE = "wrong size"
UNLIKE = "crops do not match"
REASONS = {
    UNREADABLE: "the photograph is damaged, too small, too large, or not there",
    NO_FACE: "the detector finds no face in it",
    LOW_SCORE: "it finds faces, but none with the score that is asked for",
    NO_POINTS: "the five points of the face are not finite, or all in one place",
    BAD_CROP: "a prepared crop is damaged, or its numbers are none of a picture",
    WRONG_SIZE: "a prepared crop is not 3 x 112 x 112, or not 224 x 224 pixels",
    UNLIKE: "the two prepared crops show different pictures",
}
CONVENTIONS = ("box", "five")
BATCH = 16  # photographs in memory at a time: 12 MB each at most
MAX_CROP = 1 << 20  # bytes of a prepared array: three times what it needs


def open_faces() -> Any:
    """The embedded open networks."""
    return looking


@dataclass(frozen=True)
class Settings:
    """How pictures are prepared; it travels to the workers.

    Attributes:
        head: release (or name) of the FLAME that the coefficients belong to.
        detector: its name and settings, for the data card.
        faces: gives it: an object with `detect_batch(pictures)` and `matrix_224(face)`, as
            `ofer_jax.faces` has them; importable by name.
        convention: of the larger crop, 'box' or 'five'.
        min_score: the least score of a face, 0..1; a face that FaceMesh confirms has at least 0.5.
        quality: of the JPEG crops.
    """

    head: str
    detector: str = "open"
    faces: Callable[[], Any] = open_faces
    convention: str = "box"
    min_score: float = 0.5
    quality: int = stored.QUALITY

    def __post_init__(self) -> None:
        if self.convention not in CONVENTIONS:
            raise ValueError(f"the larger crop is one of {CONVENTIONS}, not {self.convention!r}")
        if not 0 <= self.min_score < 1:
            raise ValueError(f"the least score is {self.min_score}: give one from 0 to below 1")

    def described(self) -> dict[str, Any]:
        """What of it makes a difference to the records, for the data card."""
        names = ("head", "detector", "convention", "min_score", "quality")
        return {name: getattr(self, name) for name in names}


def prepare(
    entries: Sequence[Entry], settings: Settings, root: str = ""
) -> tuple[list[dict[str, Any]], list[Rejection]]:
    """The records of entries (without `subject_id`), and what could not be used, both in order.

    Args:
        entries: as `sets.read` gives them.
        settings: how to prepare them.
        root: the set's folder, which rejections name their sources in.
    """
    records, rejected = [], []
    for start in range(0, len(entries), BATCH):
        batch = entries[start : start + BATCH]
        for entry, outcome in zip(batch, _outcomes(batch, settings), strict=True):
            if isinstance(outcome, Fault):
                rejected.append(_rejection(entry, outcome, root))
            else:
                names = {"dataset": entry.dataset, "subject": entry.subject, "name": entry.name}
                records.append(outcome | names | {"head": settings.head})
    return records, rejected


def _outcomes(entries: Sequence[Entry], settings: Settings) -> Iterator[dict[str, Any] | Fault]:
    """A record without its names, or why there is none, for each entry."""
    read = [_attempt(_read, entry) for entry in entries]
    pictures = {
        i: each[1]
        for i, each in enumerate(read)
        if not isinstance(each, Fault) and each[1] is not None
    }
    found = {}
    if pictures:
        faces = settings.faces()
        found = dict(zip(pictures, faces.detect_batch(list(pictures.values())), strict=True))
    for i, (entry, each) in enumerate(zip(entries, read, strict=True)):
        if isinstance(each, Fault):
            yield each
            continue
        cut = _attempt(_cut, pictures[i], found[i], settings) if i in found else None
        made = cut or _attempt(_prepared, entry, settings.quality)
        yield made if isinstance(made, Fault) else made | each[0]


def _attempt(function: Callable, *args: Any) -> Any:
    try:
        return function(*args)
    except Fault as fault:
        return fault


def _read(entry: Entry) -> tuple[Mapping[str, Any], np.ndarray | None]:
    """The coefficients, and the photograph unless there are prepared crops."""
    truth = sets.truth(entry)
    if entry.crop_112:
        return truth, None
    return truth, _picture(entry.picture, UNREADABLE)


def _picture(path: str, reason: str) -> np.ndarray:
    try:
        return photos.read(path).image
    except photos.PhotoError as error:
        # its message starts with the path, which is this machine's own
        raise Fault(reason, str(error).removeprefix(f"{path}: ")) from None


def _cut(picture: np.ndarray, found: Sequence[Face], settings: Settings) -> dict[str, Any]:
    """Crops and points of the first face of a photograph that is good enough."""
    if not found:
        raise Fault(NO_FACE)
    good = [face for face in found if _score(face) >= settings.min_score]
    if not good:
        raise Fault(LOW_SCORE, f"{max(map(_score, found)):.2f} < {settings.min_score:.2f}")
    face = good[0]
    try:
        to_small = align.arcface_matrix(face.five)
        landmarks = points68.landmarks(face)
    except ValueError as error:
        raise Fault(NO_POINTS, str(error)) from None
    large = settings.convention == "five"
    to_large = align.arcface_matrix(face.five, 224) if large else settings.faces().matrix_224(face)
    image = Image.fromarray(picture)
    return _record(
        looking.crop(image, to_small, 112),
        looking.crop(image, to_large, 224),
        five=align.apply(to_large, face.five),
        landmarks=align.apply(to_large, landmarks),
        to_112=align.compose(to_small, align.invert(to_large)),
        score=_score(face),
        quality=settings.quality,
    )


def _score(face: Face) -> float:
    """The detector's, or FaceMesh's where that is surer: a face it confirms is one."""
    return max(face.score, face.presence)


def _prepared(entry: Entry, quality: int) -> dict[str, Any]:
    """Crops that others prepared, and what follows of the points."""
    small, large = _crop_112(entry.crop_112), _picture(entry.crop_224, BAD_CROP)
    if large.shape != (224, 224, 3):
        raise Fault(WRONG_SIZE, f"{large.shape[1]} x {large.shape[0]} pixels, not 224 x 224")
    to_112 = registering.to_112(large, small)
    if to_112 is None:
        raise Fault(UNLIKE)
    five = align.apply(align.invert(to_112), align.ARCFACE_TEMPLATE)
    landmarks = points68.of_five(five)
    return _record(
        small, large, five=five, landmarks=landmarks, to_112=to_112, score=1.0, quality=quality
    )


def _crop_112(path: str) -> np.ndarray:
    """MICA's array, float RGB [3, 112, 112], -1 to 1, as a picture uint8 [112, 112, 3]."""
    try:
        if os.path.getsize(path) > MAX_CROP:
            raise Fault(BAD_CROP, "too large a file")
        with open(path, "rb") as file:
            array = npy.loads_npy(file.read())
    except (OSError, ValueError) as error:
        raise error if isinstance(error, Fault) else Fault(BAD_CROP, _line(error)) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise Fault(BAD_CROP, "no array of floats")
    if array.shape != (3, 112, 112):
        raise Fault(WRONG_SIZE, f"an array of shape {array.shape}, not (3, 112, 112)")
    if not (np.isfinite(array).all() and np.abs(array).max() <= 1.01):
        raise Fault(BAD_CROP, "numbers beyond -1 to 1")
    pixels = np.rint(array.astype(np.float64) * 127.5 + 127.5)
    return np.clip(pixels, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def _record(
    crop_112: np.ndarray, crop_224: np.ndarray, *, score: float, quality: int, **points: np.ndarray
) -> dict[str, Any]:
    pictures = {"crop_112": crop_112, "crop_224": crop_224}
    record = {name: stored.jpeg(np.ascontiguousarray(p), quality) for name, p in pictures.items()}
    return (
        record
        | {name: value.astype(np.float32) for name, value in points.items()}
        | {"score": np.float32(score)}
    )


def _rejection(entry: Entry, fault: Fault, root: str) -> Rejection:
    source = entry.picture or entry.crop_112
    if root and source:
        inside = os.path.relpath(source, root)
        source = os.path.basename(source) if inside.startswith("..") else inside
    return Rejection(entry.dataset, entry.subject, entry.name, source, fault.reason, fault.detail)


def _line(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)

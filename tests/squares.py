"""A tiny data set of bright squares in place of faces, and a stub detector that finds them."""

import dataclasses
import pathlib
import types

import numpy as np

from data_pipelines import openhead_tfds, records
from ofer_jax import faces

HEAD = {"name": "stub-head", "sha256": "0" * 64}
COUNTS = {"train": 9, "validation": 2, "test": 2}
LOOKED_AT: list[int] = []  # pictures the stub detector has seen in this process


def make(seed: int, subject: int) -> dict:
    """A bright square on grey, its number in the brightness, behind a dark red occluder; every
    fifth one hides all of it."""
    rng = np.random.default_rng([seed, subject])
    image = np.full((224, 224, 3), 40, np.uint8)
    image[60:160, 60:160] = 100 + 4 * subject
    mask = np.zeros((224, 224), bool)
    mask[60:110, 60:160] = True
    mask[60:160] |= subject % 5 == 1
    sizes = {name: size for name, (size, _) in records.VECTORS.items()}
    shift = 90 if subject == 4 else 0
    return {
        "image": image,
        "occluded": np.where(mask[..., None], np.array([70, 0, 0], np.uint8), image),
        "mask": mask,
        **{name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()},
        "landmarks": (np.array([[60, 60]] * 34 + [[160, 160]] * 34) - shift).astype(np.float32),
        "subject": np.int64(subject),
        "occluder": "hood" if subject % 5 == 1 else "hat",
        "head": HEAD["name"],
    }


@dataclasses.dataclass
class RawFeatures:
    embedding: np.ndarray
    middle: np.ndarray
    points: np.ndarray
    presence: np.ndarray


def stub_faces() -> types.SimpleNamespace:
    """A detector of bright areas; the features are the picture's brightness, the crops real."""

    def detect_batch(images: list[np.ndarray]) -> list[list]:
        LOOKED_AT.append(len(images))
        return [[face()] if im.max() > 80 else [] for im in images]

    def raw_features(images: list[np.ndarray], faces: list) -> RawFeatures:
        assert len(images) == len(faces) > 0
        level = np.array([[im.mean()] for im in images], np.float32)
        middle = np.repeat(level, 16, axis=1).astype(np.float16)
        return RawFeatures(level, middle, np.repeat(level, 6, axis=1), level[:, 0] / 255)

    def fit_projection(raw: RawFeatures) -> dict[str, np.ndarray]:
        return {"mean": raw.embedding.mean(0), "count": np.array(len(raw.embedding))}

    def project(raw: RawFeatures, basis: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([raw.embedding - basis["mean"], raw.presence[:, None]], axis=1)

    def centred_map(middle: np.ndarray, basis: dict[str, np.ndarray]) -> np.ndarray:
        return (middle - basis["mean"]).astype(np.float16)

    crops = {"crop_112": faces.crop_112, "crop_224": faces.crop_224}
    return types.SimpleNamespace(**locals(), RawFeatures=RawFeatures, MAP=16, **crops)


class Killed(Exception):
    """In place of the end of the process."""


def dies_at_the_third_part() -> types.SimpleNamespace:
    """The same detector, but for the third part that is looked at."""
    if len(LOOKED_AT) == 2:
        raise Killed
    return stub_faces()


def face() -> types.SimpleNamespace:
    """Where the square is, with five points of a face in it."""
    five = np.array([[90, 95], [130, 95], [110, 115], [95, 135], [125, 135]], float)
    return types.SimpleNamespace(
        box=np.array([60.0, 60, 160, 160]), five=five, presence=0.0, points=five
    )


def build(out: pathlib.Path, **counts: int) -> None:
    """Writes the data set."""
    openhead_tfds.build(out, make=make, head=HEAD, counts=COUNTS | counts, workers=0)

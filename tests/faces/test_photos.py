"""The photographs of occluded faces (tests only; they lie beside the checkout, never in it)."""

import json

import numpy as np
import pytest
from PIL import Image

from ofer_jax import faces
from ofer_jax.faces import align
from ofer_jax.faces.crops import published_box

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.fixture(scope="module")
def found(shared):
    paths = sorted((shared / "photos" / "original").glob("*.jpg"))
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    return dict(zip([p.stem for p in paths], faces.detect_batch(images), strict=True))


def test_at_least_14_of_15_are_found(found):
    assert len(found) == 15
    assert sum(bool(each) for each in found.values()) >= 14


def test_crops_agree_with_the_official_ones(found, shared):
    """ArcFace's five points: official crop -> photograph -> our crop; mean distance in pixels."""
    official = json.loads((shared / "photos" / "official_similarity.json").read_text())
    distances = [
        np.linalg.norm(
            align.apply(
                align.arcface_matrix(found[name][0].five),
                align.apply(np.array(matrix), align.ARCFACE_TEMPLATE),
            )
            - align.ARCFACE_TEMPLATE,
            axis=1,
        ).mean()
        for name, matrix in official.items()
        if found[name]
    ]
    assert len(distances) >= 13
    assert np.median(distances) <= 3


def test_different_people_are_far_apart(found, shared):
    names = [name for name, each in found.items() if each and each[0].presence > 0.5]
    images = [
        np.asarray(Image.open(shared / "photos" / "original" / f"{name}.jpg").convert("RGB"))
        for name in names
    ]
    raw = faces.raw_features(images, [found[name][0] for name in names])
    apart = np.linalg.norm(raw.embedding[:, None] - raw.embedding[None], axis=-1)
    assert np.median(apart[np.triu_indices(len(names), 1)]) > 0.65


def test_upright_crops_agree_with_the_official_ones(found, shared):
    """The mean face's points through both crops: how far apart, in sides of the crop."""
    sides, shifts = [], []
    for name, each in found.items():
        official = Image.open(shared / "photos" / "official_crop_224" / f"{name}.jpg")
        seen = faces.detect(np.asarray(official.convert("RGB")))
        if not each or not seen or min(each[0].presence, seen[0].presence) < 0.5:
            continue
        to_photo = align.umeyama(seen[0].points[:, :2], each[0].points[:, :2])
        side = 224 * np.sqrt(np.linalg.det(to_photo[:, :2]))
        centre = align.apply(to_photo, np.array([[111.5, 111.5]]))[0]
        own_centre, own_box = published_box(each[0])
        sides.append(abs(1.6 * own_box / side - 1))
        shifts.append(np.linalg.norm(own_centre - centre) / side)
    assert len(sides) >= 12
    assert np.median(sides) <= 0.06
    assert np.median(shifts) <= 0.05

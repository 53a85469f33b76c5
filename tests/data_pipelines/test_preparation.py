"""Preparation: records of raw pictures and of prepared crops, and a reason for all else."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipelines import faces_records, looking, points68, preparation, registering, sets
from data_pipelines.preparation import Settings
from ofer_jax import faces, photos
from ofer_jax.faces import align
from tests import made_up_sets

ROOT = Path(__file__).parents[2]
HARD = {
    "damaged": preparation.UNREADABLE,
    "faceless": preparation.NO_FACE,
    "tiny": preparation.UNREADABLE,
}
HARD_CROPS = {
    "damaged": preparation.BAD_CROP,
    "not finite": preparation.BAD_CROP,
    "wrong size": preparation.WRONG_SIZE,
}


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return photos.read(ROOT / "launch" / "demo_photos" / "astronaut.jpg").image


@pytest.fixture(scope="module")
def crops(photograph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The larger crop, the smaller one and the map between them."""
    face = faces.detect_batch([photograph], closer=False)[0][0]
    large, small = faces.matrix_224(face), align.arcface_matrix(face.five)
    pictures = [align.warp(photograph, large, 224), align.warp(photograph, small, 112)]
    return *pictures, align.compose(small, align.invert(large))


def prepare(folder: Path, crops: bool, **changes):
    made = made_up_sets.make("lyhm", folder, crops=crops, people=1, pictures=1)
    listing = sets.read(made.dataset, made.root, **made.options)
    settings = Settings("stub-1", **changes)
    records, rejected = preparation.prepare(listing.entries, settings, listing.root)
    decoded = [faces_records.decode(each | {"subject_id": 0}) for each in records]
    return made, decoded, rejected


@pytest.mark.parametrize("crops", [False, True])
def test_each_fault_has_its_reason_and_nothing_else_is_left_out(tmp_path, crops):
    made, records, rejected = prepare(tmp_path, crops)
    reasons = HARD_CROPS if crops else HARD
    expected = {(*name, reasons[kind]) for name, kind in made.hard.items()}
    found = {(each.subject, each.name, each.reason) for each in rejected}
    assert found >= expected and found - expected <= made.planted
    assert {(each["subject"], each["name"]) for each in records} == made.good - set(made.hard)
    assert str(tmp_path) not in "".join(each.source + each.detail for each in rejected)
    for each in records:
        placed = align.apply(each["to_112"].astype(float), each["five"].astype(float))
        np.testing.assert_allclose(placed, align.ARCFACE_TEMPLATE, atol=10)
        assert np.ptp(each["landmarks"], axis=0).min() > 60


def test_mica_crops_are_half_of_each_other(tmp_path):
    records = prepare(tmp_path, True)[1]
    np.testing.assert_array_equal(records[0]["to_112"], registering.HALF)
    np.testing.assert_allclose(records[0]["five"], 2 * align.ARCFACE_TEMPLATE, rtol=1e-6)


def test_five_points_place_the_larger_crop_by_mica_convention(photograph):
    found = looking.detect_batch([photograph])[0]
    cut = preparation._cut(photograph, found, Settings("stub-1", convention="five"))
    np.testing.assert_allclose(cut["to_112"], registering.HALF, atol=1e-6)


def test_a_score_below_the_limit_is_told(photograph):
    face = looking.detect_batch([photograph])[0][0]
    unsure = dataclasses.replace(face, score=0.55, presence=0.2)
    with pytest.raises(sets.Fault, match=preparation.LOW_SCORE) as caught:
        preparation._cut(photograph, [unsure], Settings("stub-1", min_score=0.6))
    assert caught.value.detail == "0.55 < 0.60"
    confirmed = dataclasses.replace(unsure, presence=0.7)
    cut = preparation._cut(photograph, [unsure, confirmed], Settings("stub-1", min_score=0.6))
    assert cut["score"] == np.float32(0.7)


@pytest.mark.parametrize("wrong", [{"convention": "oval"}, {"min_score": 1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=r"oval|1\.0"):
        Settings("stub-1", **wrong)


def test_a_small_copy_shows_the_same_face(photograph):
    large = np.asarray(Image.fromarray(photograph).resize((1100, 1100)))
    plain, quick = (detect([large])[0][0] for detect in (faces.detect_batch, looking.detect_batch))
    eyes = np.linalg.norm(plain.five[1] - plain.five[0])
    assert np.linalg.norm(plain.five - quick.five, axis=1).max() < 0.04 * eyes
    matrix = align.arcface_matrix(plain.five)
    sharp, crop = align.warp(large, matrix, 112), looking.crop(Image.fromarray(large), matrix, 112)
    assert np.abs(sharp.astype(int) - crop).mean() < 2.5


def test_landmarks_of_five_points_lie_on_the_face(photograph):
    face = looking.detect_batch([photograph])[0][0]
    apart = np.linalg.norm(points68.landmarks(face) - points68.of_five(face.five), axis=1)
    assert np.median(apart) < 0.15 * np.linalg.norm(face.five[1] - face.five[0])


def test_where_the_smaller_crop_lies_is_found(crops):
    large, small, known = crops
    found = registering.to_112(large, small)
    corners = np.array([[60.0, 60], [160, 60], [110, 170]])
    np.testing.assert_allclose(align.apply(found, corners), align.apply(known, corners), atol=0.3)


def test_crops_of_two_photographs_do_not_match(crops, rng):
    large, small, _ = crops
    assert registering.to_112(large, small[::-1]) is None
    assert registering.to_112(large, rng.integers(0, 255, (112, 112, 3)).astype(np.uint8)) is None
    assert registering.to_112(np.zeros_like(large), small) is None


def test_the_published_pairs_are_registered(shared):
    for path in sorted((shared / "photos" / "official_aligned_112").iterdir())[:4]:
        pair = (shared / "photos" / "official_crop_224" / f"{path.stem}.jpg", path)
        large, small = (np.asarray(Image.open(each).convert("RGB")) for each in pair)
        assert registering.to_112(large, small) is not None

"""The published encoders' crops."""

import dataclasses

import numpy as np
import pytest

from ofer_jax import faces
from ofer_jax.faces.crops import published_box

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.fixture
def face(rng) -> faces.Face:
    points = np.zeros((468, 3))
    points[:, :2] = rng.uniform([200, 140], [300, 260], (468, 2))
    points[:2, :2] = [200, 140], [300, 260]
    return faces.Face(
        box=np.array([190.0, 150.0, 310.0, 270.0]),
        keypoints=np.zeros((6, 2)),
        score=0.9,
        points=points,
        presence=1.0,
        five=np.array([[225.0, 180], [275, 180], [250, 210], [230, 235], [270, 235]]),
    )


def test_the_upright_crop_is_a_square_about_the_face(face):
    centre, side = published_box(face)
    assert centre[0] == pytest.approx(250)
    assert 150 < centre[1] < 200
    assert 110 < side < 125
    image = np.zeros((400, 500, 3), np.uint8)
    image[:, :, 0] = 200  # red all over
    crop = faces.crop_224(image, face)
    assert (crop.shape, crop.dtype) == ((224, 224, 3), np.uint8)
    assert (crop[112] == [200, 0, 0]).all()


def test_what_lies_outside_of_the_photograph_is_black(face):
    image = np.full((240, 290, 3), 99, np.uint8)  # cut off at the right and below
    crop = faces.crop_224(image, face)
    assert (crop[100:110, :100] == 99).all()
    assert (crop[:, -20:] == 0).all()
    assert (crop[-20:] == 0).all()


def test_an_unconfirmed_mesh_is_not_trusted(face):
    lost = dataclasses.replace(face, presence=0.1, points=1e4 + face.points)
    centre, side = published_box(lost)
    np.testing.assert_allclose(centre, [250, 197.16])
    assert side == pytest.approx(1.17 * 120)


def test_crops_move_with_the_photograph(face, rng):
    image = rng.integers(0, 255, (400, 500, 3)).astype(np.uint8)
    moved = np.roll(image, (6, -9), axis=(0, 1))
    shift, step = np.array([-9.0, 6.0]), np.array([-9.0, 6.0, 0.0])
    there = dataclasses.replace(
        face, points=face.points + step, five=face.five + shift, box=face.box + np.tile(shift, 2)
    )
    for crop in (faces.crop_112, faces.crop_224):
        a, b = crop(image, face).astype(int), crop(moved, there).astype(int)
        assert np.abs(a - b).max() <= 2

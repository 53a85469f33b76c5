"""Similarity fits and the antialiased warp."""

import numpy as np
import pytest

from ofer_jax.faces import align


def similarity(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([scale * turn, np.array(shift)[:, None]], axis=1)


def test_umeyama_finds_the_similarity(rng):
    matrix = similarity(0.7, 2.5, (3.0, -8.0))
    points = rng.normal(size=(9, 2))
    np.testing.assert_allclose(align.umeyama(points, align.apply(matrix, points)), matrix)


def test_umeyama_in_three_dimensions_never_mirrors(rng):
    points = rng.normal(size=(20, 3))
    matrix = align.umeyama(points, points * [-1, 1, 1])
    assert np.linalg.det(matrix[:, :3]) > 0


def test_umeyama_is_least_squares(rng):
    src, dst = rng.normal(size=(2, 6, 2))
    best = align.umeyama(src, dst)
    error = np.sum((align.apply(best, src) - dst) ** 2)
    for angle, scale in ((0.01, 1), (-0.01, 1), (0, 1.01), (0, 0.99)):
        other = similarity(angle, scale, (0, 0))[:, :2] @ best[:, :2]
        matrix = np.concatenate([other, best[:, 2:]], axis=1)
        assert np.sum((align.apply(matrix, src) - dst) ** 2) > error


@pytest.mark.parametrize(
    ("src", "dst", "message"),
    [
        (np.ones((5, 2)), np.eye(5, 2), "no scale"),
        (np.eye(5, 2), np.full((5, 2), np.nan), "finite"),
        (np.eye(5, 2), np.eye(4, 2), "matching"),
        (np.eye(1, 2), np.eye(1, 2), "matching"),
    ],
)
def test_umeyama_refuses(src, dst, message):
    with pytest.raises(ValueError, match=message):
        align.umeyama(src, dst)


def test_invert(rng):
    matrix = similarity(-2.0, 0.3, (5.0, 1.0))
    points = rng.normal(size=(4, 2))
    back = align.apply(align.invert(matrix), align.apply(matrix, points))
    np.testing.assert_allclose(back, points)


def test_template_faces_need_no_move():
    np.testing.assert_allclose(
        align.arcface_matrix(align.ARCFACE_TEMPLATE), np.eye(2, 3), atol=1e-9
    )
    big = align.arcface_matrix(align.ARCFACE_TEMPLATE, size=224)
    np.testing.assert_allclose(big, 2 * np.eye(2, 3), atol=1e-9)


def test_square_matrix_turns_the_direction_level():
    matrix = align.square_matrix(np.array([50.0, 40.0]), 20, 101, np.array([0.0, 3.0]))
    np.testing.assert_allclose(align.apply(matrix, np.array([[50.0, 40.0]])), [[50, 50]])
    below = align.apply(matrix, np.array([[50.0, 50.0]]))  # half a side further that way
    np.testing.assert_allclose(below, [[50 + 50.5, 50]])


def test_warp_copies_pixels(rng):
    image = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    shift = np.array([[1.0, 0, -7], [0, 1, -11]])
    np.testing.assert_array_equal(align.warp(image, shift, 16), image[11:27, 7:23])


def test_warp_is_black_outside():
    image = np.full((10, 10, 3), 255, np.uint8)
    assert align.warp(image, np.array([[1.0, 0, 50], [0, 1, 50]]), 20).max() == 0


@pytest.mark.parametrize("factor", [2, 3, 7, 20])
def test_warp_averages_where_it_shrinks(factor):
    size = 32
    y, x = np.mgrid[: size * factor, : size * factor]
    board = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    centre = np.full(2, (size * factor - 1) / 2)
    small = align.warp(board, align.square_matrix(centre, size * factor, size), size)
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() <= 32  # sampled, it would be 0 or 255


@pytest.mark.parametrize("factor", [1.0, 1.7, 4.0, 9.0, 0.4])
def test_warp_puts_things_where_the_matrix_says(factor):
    y, x = np.mgrid[:300, :300]
    spot = np.exp(-((x - 170) ** 2 + (y - 120) ** 2) / (2 * (3 * factor) ** 2))
    image = np.repeat((spot * 255).astype(np.uint8)[..., None], 3, axis=2)
    matrix = align.square_matrix(
        np.array([170 - 5 * factor, 120 + 9 * factor]), 64 * factor, 64, np.array([2.0, 1.0])
    )
    crop = align.warp(image, matrix, 64)[..., 0].astype(float)
    rows, columns = np.mgrid[:64, :64]
    found = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
    expected = align.apply(matrix, np.array([[170.0, 120.0]]))[0]
    np.testing.assert_allclose(found, expected, atol=0.15)

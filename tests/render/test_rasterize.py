"""The rasteriser against a per-pixel reference, and what its users rely on."""

import numpy as np
import pytest

from ofer_jax.render import interpolate, project, rasterize


def reference(vertices, faces, height, width):
    """Every pixel against every triangle, in float64; the nearest wins."""
    face_index = np.full((height, width), -1)
    depth = np.full((height, width), -np.inf)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(float)
    for index, (a, b, c) in enumerate(vertices[faces].astype(float)):
        system = np.stack([a[:2] - c[:2], b[:2] - c[:2]], 1)
        if abs(np.linalg.det(system)) < 1e-6:
            continue
        first = (grid - c[:2]) @ np.linalg.inv(system).T
        weights = np.concatenate([first, 1 - first.sum(-1, keepdims=True)], -1)
        z = weights @ np.array([a[2], b[2], c[2]])
        won = (weights >= 0).all(-1) & (z > depth)
        face_index[won], depth[won] = index, z[won]
    return face_index, depth


@pytest.mark.parametrize("seed", range(6))
def test_equals_reference_on_triangle_soup(seed):
    rng = np.random.default_rng(seed)
    centre = rng.uniform(-5, 45, (40, 1, 3))
    vertices = (centre + rng.normal(0, 6, (40, 3, 3))).reshape(-1, 3).astype(np.float32)
    faces = np.arange(120).reshape(40, 3)
    raster = rasterize(vertices, faces, 37, 41)
    expected, depth = reference(vertices, faces, 37, 41)
    np.testing.assert_array_equal(raster.face_index, expected)
    seen = expected >= 0
    np.testing.assert_allclose(raster.depth[seen], depth[seen], atol=1e-4)
    np.testing.assert_allclose(raster.bary[seen].sum(-1), 1, atol=1e-6)
    assert (raster.bary[~seen] == 0).all() and np.isneginf(raster.depth[~seen]).all()


def grid_mesh(count, size, turn):
    """A turned square of 2 count^2 triangles, with its area in pixels."""
    line = np.linspace(-size / 2, size / 2, count + 1)
    xy = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    c, s = np.cos(turn), np.sin(turn)
    xy = xy @ np.array([[c, s], [-s, c]]) + 32
    corner = (np.arange(count)[:, None] * (count + 1) + np.arange(count)).reshape(-1)
    first = np.stack([corner, corner + 1, corner + count + 2], 1)
    second = np.stack([corner, corner + count + 2, corner + count + 1], 1)
    vertices = np.concatenate([xy, np.zeros((len(xy), 1))], 1).astype(np.float32)
    return vertices, np.concatenate([first, second])


@pytest.mark.parametrize("turn", [0.0, 0.3, np.pi / 4, 1.234])
@pytest.mark.parametrize("count", [1, 7, 60])
def test_no_holes_between_neighbours(turn, count):
    vertices, faces = grid_mesh(count, 40.0, turn)
    covered = rasterize(vertices, faces, 65, 65).face_index >= 0
    whole = rasterize(*grid_mesh(1, 40.0, turn), 65, 65).face_index >= 0
    np.testing.assert_array_equal(covered, whole)
    inside = rasterize(*grid_mesh(1, 36.0, turn), 65, 65).face_index >= 0
    assert covered[inside].all()


def test_larger_z_wins_and_cull_drops_the_back():
    near = [[2, 2, 1.0], [2, 12, 1.0], [12, 2, 1.0]]  # counter-clockwise with y up
    far = [[2, 2, 0.5], [12, 2, 0.5], [2, 12, 0.5]]  # seen from behind
    vertices, faces = np.array(far + near, np.float32), np.arange(6).reshape(2, 3)
    assert rasterize(vertices, faces, 16, 16).face_index[4, 4] == 1
    vertices[3:, 2] = 0.0
    assert rasterize(vertices, faces, 16, 16).face_index[4, 4] == 0
    assert rasterize(vertices, faces, 16, 16, cull=True).face_index[4, 4] == 1


def test_negative_depths_keep_their_order():
    square = np.array([[0, 0], [0, 20], [20, 0]], np.float32)
    layers = [np.concatenate([square, np.full((3, 1), z)], 1) for z in (-3.0, -1.0, -2.0)]
    raster = rasterize(np.concatenate(layers), np.arange(9).reshape(3, 3), 8, 8)
    assert (raster.face_index == 1).all()


def test_project_puts_up_above_and_left_of_subject_to_the_right():
    points = project(np.array([[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]]), (500.0, 64.0, 32.0))
    np.testing.assert_allclose(points[:, :2], [[64, 32], [114, 32], [64, -18]], atol=1e-4)


def test_interpolate_is_linear_in_the_picture():
    vertices, faces = grid_mesh(5, 30.0, 0.4)
    raster = rasterize(vertices, faces, 65, 65)
    seen, values = interpolate(raster, faces, vertices[:, :2])
    y, x = np.nonzero(seen)
    np.testing.assert_allclose(values, np.stack([x, y], 1), atol=1e-3)


def test_outside_and_empty_meshes_draw_nothing():
    far_away = np.array([[500, 500, 0], [500, 510, 0], [510, 500, 0]], np.float32)
    assert (rasterize(far_away, np.array([[0, 1, 2]]), 20, 20).face_index == -1).all()
    assert (rasterize(far_away, np.zeros((0, 3), int), 20, 20).face_index == -1).all()


def test_bad_input_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"\[V, 3\], not \[4, 2\]"):
        rasterize(np.zeros((4, 2)), np.array([[0, 1, 2]]), 8, 8)
    with pytest.raises(ValueError, match=r"0\.\.7, but there are 4"):
        rasterize(np.zeros((4, 3)), np.array([[0, 1, 7]]), 8, 8)
    with pytest.raises(ValueError, match="not finite"):
        rasterize(np.full((3, 3), np.nan), np.array([[0, 1, 2]]), 8, 8)

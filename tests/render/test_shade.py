"""Normals, shading, colour maps and tiles."""

import numpy as np
import pytest

from ofer_jax import render


def ball(rings=24, radius=0.1):
    """A sphere of quads cut in two, counter-clockwise from outside."""
    theta = np.linspace(0, np.pi, rings + 1)
    phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    points = np.stack([np.sin(t) * np.sin(p), np.cos(t), np.sin(t) * np.cos(p)], -1)
    i, j = np.meshgrid(np.arange(rings), np.arange(2 * rings), indexing="ij")
    j2, n = (j + 1) % (2 * rings), 2 * rings
    a, b, c, d = i * n + j, (i + 1) * n + j, (i + 1) * n + j2, i * n + j2
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 0)
    return radius * points.reshape(-1, 3), faces.reshape(-1, 3)


def test_normals_of_a_ball_point_outwards():
    vertices, faces = ball()
    normals = render.vertex_normals(vertices, faces)
    inner = np.abs(vertices[:, 1]) < 0.099  # the doubled poles have half the triangles
    assert ((normals * vertices).sum(1)[inner] / 0.1 > 0.99).all()


def test_ball_is_round_lit_from_the_upper_left_and_antialiased():
    vertices, faces = ball()
    picture, coverage = render.shade(vertices, faces, (400.0, 60.0, 50.0), (100, 120))
    area = coverage.sum() / (np.pi * 40**2)
    assert abs(area - 1) < 0.01
    assert ((coverage > 0) & (coverage < 1)).sum() > 100
    centre = (coverage * np.arange(120)).sum() / coverage.sum()
    assert abs(centre - 60) < 0.1
    assert picture[35, 45].mean() > picture[65, 75].mean() + 40
    assert (picture[coverage == 0] == 0).all()


def test_over_keeps_what_is_not_covered():
    vertices, faces = ball()
    picture, coverage = render.shade(vertices, faces, (400.0, 60.0, 50.0), (100, 120))
    photo = np.full((100, 120, 3), 77, np.uint8)
    mixed = render.over(photo, picture, coverage)
    assert (mixed[coverage == 0] == 77).all()
    np.testing.assert_array_equal(mixed[coverage == 1], picture[coverage == 1])
    np.testing.assert_array_equal(render.over(photo, picture, coverage, 0.0), photo)


def test_colormap_ends_and_order():
    values = np.linspace(-1, 2, 50)
    colors = render.colormap(values)
    grey = colors @ [0.3, 0.6, 0.1]
    assert (np.diff(grey) >= -1e-6).all() and grey[-1] > grey[0] + 0.5
    np.testing.assert_array_equal(colors[0], render.colormap(0.0))
    assert render.color_bar(8, 50).shape == (8, 50, 3)
    with pytest.raises(ValueError, match="no colour map 'rainbow'"):
        render.colormap(0.0, "rainbow")


def test_tiles():
    red, blue = render.canvas(10, 20, (255, 0, 0)), render.canvas(8, 8, (0, 0, 255))
    sheet = render.tile([red, blue, red], 2, gap=2)
    assert sheet.shape == (26, 46, 3)
    assert (sheet[2:12, 2:22] == red).all() and (sheet[2:10, 24:32] == blue).all()
    with pytest.raises(ValueError, match="not 0 and 2"):
        render.tile([], 2)


def test_resize_keeps_the_mean_and_a_ramp():
    ramp = np.repeat(np.arange(0, 240, dtype=np.uint8)[None, :, None], 12, 0).repeat(3, 2)
    small = render.resize(ramp, 6, 60)
    assert abs(small.mean() - ramp.mean()) < 0.6
    assert (np.diff(small[0, :, 0].astype(int)) >= 3).all()
    fitted = render.fit_tile(ramp, 50, 120)
    assert fitted.shape == (50, 120, 3) and (fitted[0, 0] == render.canvas(1, 1)[0, 0]).all()

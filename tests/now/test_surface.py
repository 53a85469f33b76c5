"""Distances to a surface at the limits of rounding."""

import numpy as np

from ofer_jax.now import surface
from tests import made_up_now


def test_points_a_hair_from_the_surface_have_a_nearest_triangle() -> None:
    """Their squared distances are rounding: the search must not rule out every triangle."""
    directions, triangles = made_up_now.sphere(3)
    vertices = 90.0 * directions
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(len(triangles)), 20)
    weights = rng.dirichlet(np.ones(3), len(owner))
    on = np.einsum("nk,nkc->nc", weights, vertices[triangles[owner]])
    height = 10 ** rng.uniform(-8, -6, len(owner))
    normal = on / np.linalg.norm(on, axis=1, keepdims=True)
    points = on + height[:, None] * normal
    made = surface.Surface(vertices, triangles)
    assert len(np.unique(made.near(points).point)) == len(points)
    assert made.closest(points).distance.max() < 1.1e-6

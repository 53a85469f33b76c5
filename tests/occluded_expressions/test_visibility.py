"""Hidden and visible vertices on a made-up picture; a camera from landmarks."""

import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import camera, flame
from ofer_jax.occluded_expressions import visibility
from tests import toy


def test_groups_on_a_made_up_picture() -> None:
    """A mask over the right half of 10 x 10 pixels."""
    mask = np.zeros((10, 10), bool)
    mask[:, 5:] = True
    pixels = np.array([[2, 3, 0], [5, 3, 0], [4.4, 9, 0], [4.6, 9, 0], [7, 1, 0], [12, 3, 0]])
    normals = np.array([[0.0, 0, 1]] * 4 + [[0.6, 0, -0.8]] + [[0, 0, 1]])
    found = visibility.groups(pixels, normals, mask)
    assert [visibility.GROUPS[i] for i in found] == [
        *("visible", "hidden", "visible", "hidden"),  # by the nearest pixel
        *("away", "away"),  # turned away, and outside of the picture
    ]


def test_a_sphere_hides_its_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a posed head: what looks away is away, what lies behind the mask is hidden."""
    rng = np.random.default_rng(0)
    model = toy.head()
    sphere = rng.standard_normal((model.num_vertices, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    monkeypatch.setattr(visibility, "_posed", lambda *_: jnp.asarray(sphere)[None])
    monkeypatch.setattr(visibility.render, "vertex_normals", lambda vertices, _: vertices)
    mask = np.zeros((100, 100), bool)
    mask[:50] = True  # the upper half of the picture
    region = np.arange(20)
    view = np.array([40.0, 49.5, 49.5])
    found = visibility.of_picture(model, region, {"shape": np.zeros(12)}, view, mask)
    away, above = sphere[:20, 2] <= 0, sphere[:20, 1] > 0
    np.testing.assert_array_equal(found, np.where(away, 2, np.where(above, 1, 0)))


def test_the_camera_is_found_from_the_landmarks() -> None:
    rng = np.random.default_rng(1)
    model = toy.head()
    pose = {"shape": rng.standard_normal(12), "expression": rng.standard_normal(9)}
    pose |= {"jaw": np.zeros(3), "global_rotation": np.array([0.1, -0.3, 0.05])}
    view = np.array([800.0, 110, 120])
    given = {k: jnp.asarray(v, jnp.float32)[None] for k, v in pose.items()}
    marks = flame.landmarks(model, flame.vertices(model, **given))[0]
    pixels = np.asarray(camera.project(marks, jnp.asarray(view, jnp.float32)))
    other = pose | {"global_rotation": np.array([0.0, 2.0, 0.0]), "neck": np.ones(3)}
    found, seen = visibility.fitted(model, other, pixels)
    assert found.keys() == {"shape", "expression", "jaw", "global_rotation"}
    np.testing.assert_allclose(found["global_rotation"], pose["global_rotation"], atol=2e-3)
    np.testing.assert_allclose(seen, view, rtol=1e-2)

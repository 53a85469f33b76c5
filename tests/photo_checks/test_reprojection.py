"""Reprojection of a made-up head whose points are known exactly."""

import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import camera, flame
from ofer_jax.photo_checks import reprojection
from ofer_jax.photo_checks.answers import summary
from tests import toy


@pytest.fixture(scope="module")
def figures() -> dict[str, np.ndarray]:
    """Two pictures of toy heads: errors of the truth, of another head and of the mean face."""
    rng = np.random.default_rng(3)
    head = toy.head()
    surface = {
        "mesh_faces_idx": rng.integers(0, 60, 468),
        "mesh_bary_coords": rng.dirichlet(np.ones(3), 468).astype(np.float32),
        "mesh_weight": np.ones(468, np.float32),
    }
    shape = 2 * rng.standard_normal((2, toy.SHAPE)).astype(np.float32)
    expression = rng.standard_normal((2, 3, toy.EXPRESSION)).astype(np.float32)
    jaw = np.zeros((2, 3, 3), np.float32)
    vertices = flame.vertices(
        head,
        shape=jnp.asarray(shape),
        expression=jnp.asarray(expression[:, 1]),
        global_rotation=jnp.array([[0.1, 0.3, 0.0], [0.0, -0.2, 0.1]]),
    )
    corners = np.asarray(vertices)[:, np.asarray(head.faces)[surface["mesh_faces_idx"]]]
    points = (corners * surface["mesh_bary_coords"][None, :, :, None]).sum(2)
    pixels = camera.project(jnp.asarray(points), jnp.array([[900.0, 100, 80], [700.0, 90, 90]]))
    seen = np.concatenate([np.asarray(pixels), np.zeros((2, 468, 1))], -1)
    shapes = {"truth": shape, "another": shape[::-1].copy()}
    return reprojection.errors(head, surface, shapes, expression, jaw, seen)


def test_the_truth_explains_the_points_left_out(figures: dict[str, np.ndarray]) -> None:
    assert figures.keys() == {"mean face", "truth", "another"}
    assert (figures["truth"] < 0.05).all()
    assert (figures["mean face"] > 1).all() and (figures["another"] > 1).all()


def test_summary_has_ratios_to_the_mean_face(figures: dict[str, np.ndarray]) -> None:
    found = summary(figures, rounds=20)
    assert found["photographs"] == 2
    assert found["rows"]["mean face"]["ratio"] == {"value": 1, "low": 1, "high": 1}
    ratio = figures["another"].sum() / figures["mean face"].sum()
    assert found["rows"]["another"]["ratio"]["value"] == pytest.approx(ratio)


def test_the_eyes_are_as_far_apart_in_a_turned_head() -> None:
    points = np.zeros((1, 468, 3))
    points[0, 33], points[0, 263] = (0, 0, 40), (30, 0, 0)
    assert reprojection.eye_distance(points) == pytest.approx(50)


def test_a_head_without_the_points_is_refused() -> None:
    nothing = np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match="mesh_faces_idx"):
        reprojection.errors(toy.head(), {}, {"mean": nothing}, nothing, nothing, nothing)

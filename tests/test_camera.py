"""The camera fit recovers what made the points, exactly when they are exact, closely when not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import camera
from ofer_jax.flame import rotations

ROOT = np.array([0.01, -0.12, -0.05], np.float32)


def _head(rng, count: int = 300) -> np.ndarray:
    """Points on the front half of an ellipsoid as large as a head (metres)."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    direction[:, 2] = np.abs(direction[:, 2])
    return (direction * [0.075, 0.1, 0.09]).astype(np.float32)


def _posed(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    turn = np.asarray(rotations.rodrigues(jnp.asarray(rotation)))
    return (points - ROOT) @ turn.T + ROOT


def _seen(points, rotation, cam) -> np.ndarray:
    return np.asarray(camera.project(jnp.asarray(_posed(points, rotation)), jnp.asarray(cam)))


def _case(seed: int):
    rng = np.random.default_rng(seed)
    rotation = np.float32(rng.uniform([-0.5, -1.0, -0.8], [0.5, 1.0, 0.8]))
    cam = np.float32([rng.uniform(300, 6000), rng.uniform(0, 900), rng.uniform(0, 900)])
    return rng, _head(rng), rotation, cam


def _angle(a, b) -> float:
    """Degrees between two axis-angle rotations."""
    a, b = (np.asarray(rotations.rodrigues(jnp.asarray(r)), np.float64) for r in (a, b))
    return float(np.degrees(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))))


@pytest.mark.parametrize("seed", range(6))
def test_exact_points_are_recovered(seed):
    _, points, rotation, cam = _case(seed)
    pixels = _seen(points, rotation, cam)
    found = camera.fit(points, pixels, np.ones(len(points), np.float32), ROOT)
    assert _angle(found.global_rotation, rotation) < 0.05
    np.testing.assert_allclose(found.camera[0], cam[0], rtol=1e-4)
    again = _seen(points, found.global_rotation, found.camera)
    assert np.abs(again - pixels).max() < 2e-4 * cam[0] * 0.2
    assert float(found.error) < 2e-4 * cam[0] * 0.2


@pytest.mark.parametrize("seed", range(6))
def test_noise_and_a_quarter_of_outliers(seed):
    rng, points, rotation, cam = _case(seed)
    face = cam[0] * 0.2  # pixels, about the height of the face
    pixels = _seen(points, rotation, cam) + rng.normal(0, 0.01 * face, (len(points), 2))
    wrong = rng.choice(len(points), len(points) // 4, replace=False)
    pixels[wrong] += rng.normal(0.2 * face, 0.15 * face, (len(wrong), 2))
    found = camera.fit(
        points, np.float32(pixels), np.ones(len(points), np.float32), ROOT, prior=0.0
    )
    assert _angle(found.global_rotation, rotation) < 2.5
    assert abs(float(found.camera[0]) / cam[0] - 1) < 0.02


def test_points_of_no_weight_have_no_say():
    rng, points, rotation, cam = _case(7)
    pixels = _seen(points, rotation, cam).copy()
    weights = np.ones(len(points), np.float32)
    weights[:120] = 0
    pixels[:120] = rng.uniform(0, 900, (120, 2))
    found = camera.fit(points, pixels, weights, ROOT)
    assert _angle(found.global_rotation, rotation) < 0.05


def test_six_rough_points_give_a_sound_pose():
    rng = np.random.default_rng(0)
    points = np.float32(
        [
            [-0.03, 0.03, 0.06],
            [0.03, 0.03, 0.06],
            [0, 0, 0.1],
            [0, -0.035, 0.075],
            [-0.07, 0.01, -0.01],
            [0.07, 0.01, -0.01],
        ]
    )
    rotation, cam = np.float32([0.1, 0.5, -0.2]), np.float32([1500, 300, 300])
    pixels = np.float32(_seen(points, rotation, cam) + rng.normal(0, 3, (6, 2)))
    weights = np.float32(camera.KEYPOINT_WEIGHTS)
    found = camera.fit(points, pixels, weights, ROOT, prior=0.003)
    assert _angle(found.global_rotation, rotation) < 12
    assert abs(float(found.camera[0]) / 1500 - 1) < 0.15


def test_fits_map_over_candidates():
    _, points, rotation, cam = _case(3)
    pixels = _seen(points, rotation, cam)
    heads = np.stack([points, points * np.float32([1.05, 0.97, 1.0])])
    weights = np.ones(len(points), np.float32)
    many = jax.vmap(lambda p: camera.fit(p, pixels, weights, ROOT))(heads)
    assert many.camera.shape == (2, 3)
    assert float(many.error[0]) < float(many.error[1])  # the head that made the points wins


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_points_in_one_place_give_a_frontal_head_and_an_infinite_error(weight):
    flat = np.zeros((6, 3), np.float32)
    found = camera.fit(flat, flat[:, :2], np.full(6, weight, np.float32), ROOT)
    assert np.isfinite(np.concatenate([found.camera, found.global_rotation])).all()
    assert np.isinf(found.error)


def test_keypoints_follow_the_landmark_groups():
    landmarks = np.zeros((2, 68, 3), np.float32)
    landmarks[:, 36:42, 0] = -1
    landmarks[:, 42:48, 0] = 1
    landmarks[:, 16, 2] = -3
    points = np.asarray(camera.keypoints(landmarks))
    np.testing.assert_allclose(points[0, :, 0], [-1, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(points[1, :, 2], [0, 0, 0, 0, 0, -3])

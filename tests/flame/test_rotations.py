import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax.flame.rotations import matrix_to_axis_angle, rodrigues

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


def test_rotates_about_the_axis_by_the_right_hand_rule():
    quarter = rodrigues(jnp.array([0.0, 0.0, jnp.pi / 2]))
    np.testing.assert_allclose(quarter @ jnp.array([1.0, 0, 0]), [0, 1, 0], atol=1e-6)


def test_matrices_are_rotations():
    r = rodrigues(jax.random.normal(jax.random.key(0), (50, 3)) * 3)
    eye = np.broadcast_to(np.eye(3), (50, 3, 3))
    np.testing.assert_allclose(r @ r.swapaxes(1, 2), eye, atol=2e-6)
    np.testing.assert_allclose(np.linalg.det(r), 1, atol=2e-6)


def test_gradient_at_zero_is_the_generator():
    jacobian = jax.jacobian(rodrigues)(jnp.zeros(3))  # d R_ij / d r_k = -epsilon_ijk
    epsilon = np.zeros((3, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        epsilon[i, j, k], epsilon[j, i, k] = 1, -1
    np.testing.assert_allclose(jacobian, -epsilon, atol=1e-7)


@pytest.mark.parametrize("angle", [1e-5, 9e-5, 1.1e-4, 1e-2, 1.0, 3.0, np.pi - 1e-3])
def test_gradient_agrees_with_differences_in_float64(angle):
    with jax.enable_x64(True):
        axis = np.array([0.48, -0.6, 0.64])
        r = jnp.asarray(axis * angle)
        step = 1e-6 * np.eye(3)
        central = [(rodrigues(r + s) - rodrigues(r - s)) / 2e-6 for s in step]
        np.testing.assert_allclose(
            jax.jacobian(rodrigues)(r), np.stack(central, axis=-1), atol=1e-8
        )


@pytest.mark.parametrize("angle", [0.0, 1e-6, 1e-3, 0.5, 2.0, 3.0, np.pi])
def test_axis_angle_round_trip(angle):
    axes = np.random.default_rng(0).normal(size=(20, 3))
    r = np.asarray(axes / np.linalg.norm(axes, axis=1, keepdims=True) * angle, np.float32)
    back = matrix_to_axis_angle(rodrigues(jnp.asarray(r)))
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), angle, atol=3e-6)
    np.testing.assert_allclose(rodrigues(back), rodrigues(jnp.asarray(r)), atol=3e-6)


def test_axis_angle_of_the_identity_has_a_gradient():
    jacobian = jax.jacobian(lambda r: matrix_to_axis_angle(rodrigues(r)))(jnp.zeros(3))
    np.testing.assert_allclose(jacobian, np.eye(3), atol=1e-6)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import flame

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


def test_fixed_landmarks_agree_with_the_golden_values(model, golden):
    out = flame.landmarks(model, golden["out_vertices"])
    assert np.abs(out - golden["out_landmarks_full"]).max() < 1e-6


def test_contour_landmarks_agree_with_the_golden_values(model, golden):
    out = flame.contour_landmarks(
        model, golden["out_vertices"], golden["in_global_rotation"], golden["in_neck"]
    )
    assert np.abs(out - golden["out_landmarks_contour"]).max() < 1e-6


def test_the_contour_of_a_straight_head_is_row_zero(model):
    vertices = flame.vertices(model)
    corners = vertices[0][model.faces[model.dynamic_lmk_faces_idx[0]]]
    expected = jnp.sum(corners * model.dynamic_lmk_bary_coords[0][..., None], axis=1)
    out = flame.contour_landmarks(model, vertices)
    np.testing.assert_allclose(out[0, :17], expected, atol=1e-7)


def test_landmarks_move_with_the_head(model):
    vertices = flame.vertices(model)
    shift = jnp.array([[[0.1, -0.2, 0.3]]])
    moved = flame.landmarks(model, vertices + jnp.broadcast_to(shift, vertices.shape))
    still = flame.landmarks(model, vertices)
    np.testing.assert_allclose(moved - still, np.broadcast_to(shift, still.shape), atol=1e-6)


def test_contour_landmarks_have_a_finite_gradient_at_zero_rotation(model):
    def f(rotation):
        vertices = flame.vertices(model, global_rotation=rotation)
        return jnp.sum(flame.contour_landmarks(model, vertices, rotation) ** 2)

    gradient = jax.grad(f)(jnp.zeros((1, 3)))
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_a_wrong_batch_of_rotations_is_named(model):
    with pytest.raises(ValueError, match=r"must be \[1, 3\]; its shape is \(2, 3\)"):
        flame.contour_landmarks(model, flame.vertices(model), jnp.zeros((2, 3)))

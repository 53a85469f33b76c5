import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import losses

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.fixture(scope="module")
def golden(testdata):
    with np.load(testdata / "ranker.npz") as stored:
        return {key: stored[key] for key in stored.files}


def test_listwise_softmax_agrees_with_the_golden_value(golden):
    loss = losses.listwise_softmax(golden["out_scores"], golden["out_error_mm"])
    np.testing.assert_allclose(loss, golden["out_loss_softmax_listnet"], rtol=1e-6)


def test_best_of_list_agrees_with_the_golden_value(golden):
    loss = losses.best_of_list(golden["out_scores"], golden["out_error_mm"])
    np.testing.assert_allclose(loss, golden["out_loss_bce"], rtol=1e-6)


def test_listwise_softmax_is_least_at_the_labels():
    errors = jnp.array([[1.0, 0.2, 3.0, 0.5]])
    gradient = jax.grad(losses.listwise_softmax)(-errors + 7.0, errors)
    np.testing.assert_allclose(gradient, np.zeros((1, 4)), atol=1e-6)


def test_masked_candidates_take_no_part():
    scores, errors = jnp.array([[0.3, -1.0, 9.0]]), jnp.array([[1.0, 2.0, 0.0]])
    where = jnp.array([[True, True, False]])
    masked = losses.listwise_softmax(scores, errors, where)
    np.testing.assert_allclose(masked, losses.listwise_softmax(scores[:, :2], errors[:, :2]))
    gradient = jax.grad(losses.listwise_softmax)(scores, errors, where)
    assert gradient[0, 2] == 0 and np.isfinite(gradient).all()


def test_denoising_losses():
    prediction, target = jnp.array([[1.0, -1.0]]), jnp.array([[0.0, 2.0]])
    np.testing.assert_allclose(losses.denoising(prediction, target), 2.0)
    np.testing.assert_allclose(losses.denoising(prediction, target, "l2"), 5.0)
    weighted = losses.denoising(prediction, target, "l1", jnp.array([0.0, 4.0]))
    np.testing.assert_allclose(weighted, 3.0)
    with pytest.raises(ValueError, match="'l1' or 'l2'; got 'huber'"):
        losses.denoising(prediction, target, "huber")

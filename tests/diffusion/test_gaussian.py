import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax.diffusion import gaussian, schedule

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile

SCHEDULE = schedule.linear()


@pytest.fixture(scope="module")
def golden(testdata):
    with np.load(testdata / "samplers.npz") as stored:
        return {key: stored[key] for key in stored.files}


@pytest.fixture(scope="module")
def drawn():
    x0, eps = jax.random.normal(jax.random.key(0), (2, 6, 5, 3))
    return x0, jnp.array([0, 1, 10, 200, 600, 999]), eps


@pytest.mark.parametrize("tables", ["float32", "float64"])
def test_q_sample_agrees_with_the_golden_value(golden, tables):
    table = schedule.linear(tables=tables)
    out = gaussian.q_sample(table, golden["in_x0"], golden["in_t"], golden["in_noise"])
    np.testing.assert_allclose(out, golden["out_q_sample"], rtol=0, atol=5e-6)


def test_x0_from_eps_agrees_with_the_golden_value(golden):
    table = schedule.linear(tables="float32")
    out = gaussian.x0_from_eps(table, golden["out_q_sample"], golden["in_t"], golden["in_noise"])
    np.testing.assert_allclose(out, golden["out_x0_from_noise"], rtol=0, atol=5e-6)


def test_every_way_back_undoes_q_sample(drawn):
    x0, t, eps = drawn
    xt = gaussian.q_sample(SCHEDULE, x0, t, eps)
    v = gaussian.v_from(SCHEDULE, x0, t, eps)
    np.testing.assert_allclose(gaussian.x0_from_eps(SCHEDULE, xt, t, eps), x0, atol=1e-5)
    np.testing.assert_allclose(gaussian.x0_from_v(SCHEDULE, xt, t, v), x0, atol=1e-5)
    np.testing.assert_allclose(gaussian.eps_from_v(SCHEDULE, xt, t, v), eps, atol=1e-5)
    np.testing.assert_allclose(gaussian.eps_from_x0(SCHEDULE, xt, t, x0), eps, atol=1e-4)


@pytest.mark.parametrize("prediction_type", ["eps", "v", "x0"])
def test_a_perfect_prediction_of_any_type_is_the_clean_value(drawn, prediction_type):
    x0, t, eps = drawn
    xt = gaussian.q_sample(SCHEDULE, x0, t, eps)
    target = gaussian.target(SCHEDULE, x0, t, eps, prediction_type)
    out = gaussian.to_x0(SCHEDULE, target, xt, t, prediction_type)
    np.testing.assert_allclose(out, x0, atol=1e-4)


def test_another_prediction_type_is_named(drawn):
    x0, t, eps = drawn
    with pytest.raises(ValueError, match="'eps', 'v' or 'x0'; got 'score'"):
        gaussian.to_x0(SCHEDULE, eps, x0, t, "score")
    with pytest.raises(ValueError, match="'eps', 'v' or 'x0'; got 'score'"):
        gaussian.target(SCHEDULE, x0, t, eps, "score")


def test_the_posterior_steps_back_to_the_marginal_before():
    """Averaged over q(xt | x0), q(x_{t-1} | xt, x0) is q(x_{t-1} | x0): mean and variance."""
    x0, t = jnp.array([[1.7]]), jnp.array([300])
    mean = gaussian.posterior_mean(SCHEDULE, x0, SCHEDULE.sqrt_alpha_bar[300] * x0, t)
    np.testing.assert_allclose(mean[0], SCHEDULE.sqrt_alpha_bar[299] * x0[0], rtol=1e-6)
    variance = gaussian.posterior_variance(SCHEDULE, t, x0)[0, 0]
    spread = SCHEDULE.posterior_mean_xt[300] ** 2 * SCHEDULE.one_minus_alpha_bar[300]
    np.testing.assert_allclose(variance + spread, SCHEDULE.one_minus_alpha_bar[299], rtol=1e-5)

import numpy as np
import pytest

from ofer_jax.diffusion import schedule

OFFICIAL = {  # our name: the published one
    "betas": "betas",
    "alpha_bar": "alphas_cumprod",
    "alpha_bar_prev": "alphas_cumprod_prev",
    "sqrt_alpha_bar": "sqrt_alpha_cumprod",
    "sqrt_one_minus_alpha_bar": "sqrt_one_minus_alpha_cumprod",
    "posterior_mean_x0": "posterior_mean_coeff1",
    "posterior_mean_xt": "posterior_mean_coeff2",
    "posterior_variance": "posterior_variance",
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_tables_agree_with_the_published_ones_up_to_their_rounding(testdata, name):
    golden = np.load(testdata / "schedule_linear_1000.npz")[OFFICIAL[name]]
    np.testing.assert_allclose(getattr(schedule.linear(), name), golden, rtol=2e-4, atol=1e-12)


def test_tables_are_rounded_once():
    exact, rounded = schedule.linear(dtype=np.float64), schedule.linear()
    assert rounded.betas.dtype == np.float32
    a = np.cumprod(1 - np.linspace(1e-4, 1e-2, 1000))
    np.testing.assert_allclose(rounded.one_minus_alpha_bar, 1 - a, rtol=6e-8)
    np.testing.assert_allclose(exact.sqrt_alpha_bar, np.sqrt(a), rtol=6e-8)


def test_one_step_and_other_lengths():
    assert schedule.linear(1).num_steps == 1
    assert schedule.linear(7).posterior_variance[0] == 0


@pytest.mark.parametrize("wrong", [{"T": 0}, {"beta_start": 0.0}, {"beta_end": 1.0}])
def test_a_senseless_schedule_is_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        schedule.linear(**wrong)

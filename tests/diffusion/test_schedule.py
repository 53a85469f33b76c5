import numpy as np
import pytest

from ofer_jax.diffusion import schedule

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.mark.parametrize(("tables", "error"), [("float32", 1e-6), ("float64", 3e-4)])
@pytest.mark.parametrize("name", schedule.PUBLISHED)
def test_tables_agree_with_the_published_ones(testdata, name, tables, error):
    golden = np.load(testdata / "schedule_linear_1000.npz")[name]
    ours = getattr(schedule.linear(tables=tables), schedule.PUBLISHED[name])
    np.testing.assert_allclose(ours, golden, rtol=error)


def test_what_the_samplers_make_of_the_tables_agrees_too(testdata):
    """The published buffers that we do not keep, from those that we do."""
    golden = np.load(testdata / "schedule_linear_1000.npz")
    ours = schedule.linear(tables="float32")
    made = {
        "alphas": 1 - ours.betas,
        "sqrt_alpha": np.sqrt(1 - ours.betas),
        "sqrt_recip_alpha_cumprod": 1 / ours.sqrt_alpha_bar,
        "posterior_mean_coeff3": ours.betas / ours.sqrt_one_minus_alpha_bar,
        "mean_coeff": ours.one_minus_alpha_bar / ours.betas,
        "log_one_minus_alpha_cumprod": np.log(ours.one_minus_alpha_bar),
    }
    for name, value in made.items():
        np.testing.assert_allclose(value, golden[name], rtol=1e-6, err_msg=name)


def test_tables_are_rounded_once():
    exact, rounded = schedule.linear(dtype=np.float64), schedule.linear()
    assert rounded.betas.dtype == np.float32
    a = np.cumprod(1 - np.linspace(1e-4, 1e-2, 1000))
    np.testing.assert_allclose(rounded.one_minus_alpha_bar, 1 - a, rtol=6e-8)
    np.testing.assert_allclose(exact.sqrt_alpha_bar, np.sqrt(a), rtol=6e-8)


def test_one_step_and_other_lengths():
    assert schedule.linear(1).num_steps == 1
    assert schedule.linear(7).posterior_variance[0] == 0


def test_tables_of_another_precision_are_refused():
    with pytest.raises(ValueError, match="tables must be 'float64' or 'float32'; got 'float16'"):
        schedule.linear(tables="float16")  # pyrefly: ignore[bad-argument-type]


@pytest.mark.parametrize("wrong", [{"T": 0}, {"beta_start": 0.0}, {"beta_end": 1.0}])
def test_a_senseless_schedule_is_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}={next(iter(wrong.values()))}"):
        schedule.linear(**wrong)

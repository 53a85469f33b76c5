import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ofer_jax.diffusion import gaussian, samplers, schedule

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile

SCHEDULE = schedule.linear()
SAMPLERS = {
    "ddpm": samplers.ddpm,
    "ddm": samplers.ddm,
    "ddim": functools.partial(samplers.ddim, steps=20),
    "ddim-0": functools.partial(samplers.ddim, steps=20, eta=0.0),
    "dpm": functools.partial(samplers.dpm, steps=10),
    "dpm3": functools.partial(samplers.dpm3, steps=10),
    "official_ddim": samplers.official_ddim,
}


def mixture(means, stds, weights):
    """The exact noise predictor of one-dimensional Gaussian mixtures, [B, D] with D independent."""
    means, stds, weights = (jnp.asarray(a)[None, None] for a in (means, stds, weights))

    def predict_eps(xt, t):
        rest = gaussian.at(SCHEDULE.one_minus_alpha_bar, t, xt)[..., None]
        bar = gaussian.at(SCHEDULE.alpha_bar, t, xt)[..., None]
        variance = bar * stds**2 + rest
        z = xt[..., None] - jnp.sqrt(bar) * means
        logits = jnp.log(weights) - 0.5 * (z**2 / variance + jnp.log(variance))
        score = -jnp.sum(jax.nn.softmax(logits) * z / variance, axis=-1)
        return -jnp.sqrt(rest[..., 0]) * score

    return predict_eps


def run(solver, predict_eps, *arguments, table=SCHEDULE, **options):
    """`samplers.sample` with a predictor of the noise, which gets the schedule's steps [B]."""

    def predict_x0(x, i):
        t = jnp.broadcast_to(solver.times[i], x.shape[:1])
        return gaussian.x0_from_eps(table, x, t, predict_eps(x, t))

    return samplers.sample(solver, predict_x0, *arguments, **options)


def draw(solver, predict_eps, count=4000):
    made = jax.jit(lambda solver, key: run(solver, predict_eps, key, (count, 5)))
    return np.asarray(made(solver, jax.random.key(3))).ravel()


@pytest.fixture(scope="module")
def golden(testdata):
    with np.load(testdata / "samplers.npz") as stored:
        return {key: stored[key] for key in stored.files}


def golden_run(golden, name, tables):
    """A whole run with the golden noise and its closed-form predictor."""
    count = 1 if name == "official_ddim" else 1000
    numbered = [np.random.default_rng(10_000 + i).standard_normal((4, 12)) for i in range(count)]
    context = jnp.asarray(golden["in_context"])

    def predict_eps(x, t):
        return jnp.sin(x + 0.001 * t[:, None] + context)

    noise = jnp.asarray(np.stack(numbered), jnp.float32)
    table = schedule.linear(tables=tables)
    solver = getattr(samplers, name)(table)
    return run(solver, predict_eps, jax.random.key(0), (4, 12), noise=noise, table=table)


@pytest.mark.parametrize("name", ["ddpm", "ddm", "official_ddim"])
def test_whole_runs_agree_with_the_golden_values(golden, name):
    expected = golden[f"out_{name.removeprefix('official_')}"]
    out = golden_run(golden, name, "float32")
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-4 * expected.std())


def test_with_exact_tables_both_forms_are_one(golden):
    ancestral, posterior = (golden_run(golden, name, "float64") for name in ("ddpm", "ddm"))
    np.testing.assert_allclose(posterior, ancestral, rtol=2e-5)
    np.testing.assert_allclose(posterior, golden["out_ddpm"], rtol=2e-5)


def test_official_ddim_sees_the_steps_of_the_published_program():
    """251 of them, the last one t = -1, where x is nearly clean but taken for pure noise."""
    seen = []

    def predict_eps(x, t):
        jax.debug.callback(lambda step: seen.append(int(step)), t[0], ordered=True)
        return x

    solver = samplers.official_ddim(SCHEDULE)
    jax.block_until_ready(run(solver, predict_eps, jax.random.key(0), (1, 2)))
    jax.effects_barrier()
    assert len(seen) == 251
    assert seen[:2] + seen[-2:] == [999, 995, 3, -1]


def test_the_fault_of_official_ddim_on_an_exact_denoiser():
    """It is affine in its only noise, the start: 0 gives the mean, 1 the mean and the deviation."""
    predict_eps, noise = mixture([1.0], [0.3], [1.0]), jnp.array([[[0.0], [1.0]]])
    solver = samplers.official_ddim(SCHEDULE)
    x = run(solver, predict_eps, jax.random.key(0), (2, 1), noise=noise)
    mean, std = x[0, 0], x[1, 0] - x[0, 0]
    np.testing.assert_allclose([mean, std], [0.40, 0.74], atol=0.005)
    sound = draw(samplers.ddpm(SCHEDULE), predict_eps)
    np.testing.assert_allclose([sound.mean(), sound.std()], [1.00, 0.30], atol=0.02)


def test_official_ddim_needs_whole_strides():
    with pytest.raises(ValueError, match="divisible by 4; got 10"):
        samplers.official_ddim(schedule.linear(10))


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("ddpm", {}),
        ("ddim", {"steps": 300, "eta": 1.0}),
        ("ddim", {"steps": 300, "eta": 0.0}),
        ("dpm", {"steps": 40}),
        ("dpm3", {"steps": 25}),
    ],
)
def test_an_exact_denoiser_gives_back_its_gaussian(sampler, options):
    x = draw(getattr(samplers, sampler)(SCHEDULE, **options), mixture([1.0], [0.3], [1.0]))
    assert abs(x.mean() - 1.0) < 0.03  # the last step of this schedule still holds 8 % of x0
    assert abs(x.std() / 0.3 - 1.0) < 0.04


@pytest.mark.parametrize(
    ("sampler", "options"),
    [
        ("ddpm", {}),
        ("ddim", {"steps": 300, "eta": 1.0}),
        ("ddim", {"steps": 300, "eta": 0.0}),
        ("dpm", {"steps": 40}),
        ("dpm3", {"steps": 25}),
    ],
)
def test_an_exact_denoiser_gives_back_its_two_modes(sampler, options):
    modes = mixture([-1.0, 0.5], [0.2, 0.1], [0.3, 0.7])
    x = draw(getattr(samplers, sampler)(SCHEDULE, **options), modes)
    low, high = x[x < -0.2], x[x >= -0.2]
    assert abs(len(low) / len(x) - 0.3) < 0.03
    np.testing.assert_allclose([low.mean(), high.mean()], [-1.0, 0.5], atol=0.02)
    np.testing.assert_allclose([low.std(), high.std()], [0.2, 0.1], rtol=0.1)


def test_ddim_without_noise_follows_the_exact_flow():
    """For a Gaussian the probability flow maps xT's standard score onto x0's."""
    start = jax.random.normal(jax.random.key(0), (1, 50, 1))
    predict_eps = mixture([1.0], [0.3], [1.0])
    solver = samplers.ddim(SCHEDULE, steps=1000, eta=0.0)
    x0 = run(solver, predict_eps, jax.random.key(0), (50, 1), noise=start)
    a, rest = SCHEDULE.sqrt_alpha_bar[-1], SCHEDULE.one_minus_alpha_bar[-1]
    score = (start[0] - a) / jnp.sqrt(0.09 * a**2 + rest)
    np.testing.assert_allclose(x0, 1.0 + 0.3 * score, atol=0.01)


def test_ddim_with_all_steps_and_eta_1_is_ddpm():
    predict_eps = mixture([-1.0, 0.5], [0.2, 0.1], [0.3, 0.7])
    ancestral, implicit = (
        run(solver, predict_eps, jax.random.key(5), (6, 4))
        for solver in (samplers.ddpm(SCHEDULE), samplers.ddim(SCHEDULE, steps=1000, eta=1.0))
    )
    np.testing.assert_allclose(ancestral, implicit, atol=2e-4)


@pytest.mark.parametrize("std", [0.1, 0.4, 0.9])
def test_dpm_needs_few_steps_for_any_width(std):
    x = draw(samplers.dpm(SCHEDULE, steps=30), mixture([0.5], [std], [1.0]))
    assert abs(x.mean() - 0.5) < 0.02
    assert abs(x.std() / std - 1.0) < 0.03


@pytest.mark.parametrize(("std", "steps"), [(0.05, 25), (0.1, 25), (0.2, 20), (0.5, 20), (1.2, 20)])
def test_dpm3_keeps_the_width_to_a_percent(std, steps):
    """Exactly: sampling a centred Gaussian is linear, so its response to each noise adds up."""
    table = schedule.linear(dtype=np.float64)
    with jax.enable_x64(True):
        solver = samplers.dpm3(table, steps=steps)
        bar, rest = (
            np.asarray(t)[solver.times] for t in (table.alpha_bar, table.one_minus_alpha_bar)
        )
        gain = jnp.asarray(np.sqrt(bar) * std**2 / (bar * std**2 + rest))
        noise = jnp.eye(steps)[:, :, None]
        key, shape = jax.random.key(0), (steps, 1)
        x = samplers.sample(solver, lambda x, i: gain[i] * x, key, shape, noise=noise)
        assert abs(jnp.linalg.norm(x) / std - 1) < 0.012


def test_dpm3_needs_fewer_steps_than_dpm_for_two_widths_at_once():
    """Heavy tails: where a step must tell which width it is, low orders lose variance."""
    modes, true = mixture([0.0, 0.0], [0.2, 2.0], [0.8, 0.2]), np.sqrt(0.8 * 0.04 + 0.2 * 4)
    second, third = (
        draw(make(SCHEDULE, steps=20), modes, 20_000).std() / true - 1
        for make in (samplers.dpm, samplers.dpm3)
    )
    assert abs(third) < 0.015 < abs(second)


def test_three_predictions_on_a_parabola_give_its_mean_over_the_step():
    h, a, b = 0.4, 0.3, 0.5
    u = np.linspace(0, h, 20_001)
    weight = np.exp(-2 * (h - u))

    def parabola(u):
        return 2 - 3 * u + 5 * u**2

    found = np.dot(samplers._extrapolation(h, a, b), parabola(np.array([0.0, -a, -a - b])))
    assert found == pytest.approx(
        np.trapezoid(weight * parabola(u)) / np.trapezoid(weight), rel=1e-6
    )


@pytest.mark.parametrize("over_t", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 30, 999, 1000])
def test_dpm_visits_both_ends_and_no_step_twice(steps, over_t):
    times = np.asarray(samplers.dpm_times(SCHEDULE, steps, over_t))
    assert len(times) == steps and times[0] == 999
    assert (np.diff(times) < 0).all()
    assert times[-1] == (0 if steps > 1 else 999)


@pytest.mark.parametrize("make", [samplers.dpm, samplers.dpm3])
def test_dpm_in_one_step_returns_the_denoisers_x0(make):
    predict_eps = mixture([1.0], [0.3], [1.0])
    x = run(make(SCHEDULE, steps=1), predict_eps, jax.random.key(0), (4, 2))
    y = run(samplers.ddim(SCHEDULE, steps=1), predict_eps, jax.random.key(0), (4, 2))
    np.testing.assert_allclose(x, y, atol=1e-5)


def test_ddim_visits_both_ends_evenly():
    times = samplers.ddim_times(1000, 50)
    assert (times[0], times[-1], len(times)) == (999, 0, 50)
    assert set(-np.diff(times)) <= {20, 21}
    np.testing.assert_array_equal(samplers.ddim_times(5, 5), [4, 3, 2, 1, 0])
    np.testing.assert_array_equal(samplers.ddim_times(1000, 1), [999])


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_example_does_not_depend_on_its_batch(name):
    predict_eps = mixture([1.0], [0.3], [1.0])
    large = run(SAMPLERS[name](SCHEDULE), predict_eps, jax.random.key(1), (8, 3))
    small = run(SAMPLERS[name](SCHEDULE), predict_eps, jax.random.key(1), (2, 3))
    np.testing.assert_allclose(large[:2], small, atol=1e-6)
    assert np.abs(large[0] - large[1]).max() > 0.01


def test_a_key_for_each_example_may_be_given():
    predict_eps = mixture([1.0], [0.3], [1.0])
    keys = jax.random.split(jax.random.key(1), 4)
    solver = samplers.ddim(SCHEDULE, steps=5)
    forward = run(solver, predict_eps, keys, (4, 3))
    backward = run(solver, predict_eps, keys[::-1], (4, 3))
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-6)


@pytest.mark.parametrize("name", SAMPLERS)
def test_eight_devices_give_the_numbers_of_one(name):
    # In float64: in float32, compilers that round one program otherwise than the other add up over
    # a thousand steps.
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    shards = NamedSharding(mesh, PartitionSpec("data"))
    with jax.enable_x64(True):
        table = schedule.linear(dtype=np.float64)
        means = jnp.linspace(-1, 1, 16, dtype=jnp.float64)[:, None]

        def predicted(key, means):
            def predict_eps(xt, t):
                a = gaussian.at(table.sqrt_alpha_bar, t, xt)
                return (xt - a * means) * gaussian.at(table.sqrt_one_minus_alpha_bar, t, xt)

            return run(SAMPLERS[name](table), predict_eps, key, (16, 3), table=table)

        one = jax.jit(predicted)(jax.random.key(2), means)
        run_sharded = jax.jit(predicted, out_shardings=shards)
        eight = run_sharded(jax.random.key(2), jax.device_put(means, shards))
        assert len(eight.sharding.device_set) == 8
        assert eight.dtype == jnp.float64
        np.testing.assert_allclose(eight, one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, r"steps must lie in 1\.\.1000; got 0"),
        ({"steps": 1001}, r"steps must lie in 1\.\.1000; got 1001"),
        ({"eta": 1.5}, r"eta must lie in 0\.\.1; got 1\.5"),
    ],
)
def test_senseless_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        samplers.ddim(SCHEDULE, **options)


@pytest.mark.parametrize(("eta", "count"), [(1.0, 50), (0.0, 1)])
def test_another_number_of_noises_is_refused(eta, count):
    solver, noise = samplers.ddim(SCHEDULE, eta=eta), jnp.zeros((3, 2, 3))
    with pytest.raises(ValueError, match=rf"noise must be \({count}, 2, 3\)"):
        samplers.sample(solver, lambda x, i: x, jax.random.key(0), (2, 3), noise=noise)


def test_a_wrong_number_of_keys_is_refused():
    keys = jax.random.split(jax.random.key(1), 4)
    with pytest.raises(ValueError, match=r"one key or 2 of them; its shape is \(4,\)"):
        samplers.sample(samplers.ddpm(SCHEDULE), lambda x, i: x, keys, (2, 3))


def test_a_temperature_widens_the_draws_about_the_same_mean() -> None:
    """Of a Gaussian answer: x0 is linear in the noise, so the draws are moved exactly by it."""
    table = schedule.linear(200, 1e-4, 2e-2)
    solver = samplers.dpm3(table, steps=12)
    mean, deviation = 0.7, 0.4

    def predict(x: jax.Array, i: jax.Array) -> jax.Array:
        signal = jnp.sqrt(table.alpha_bar[solver.times[i]])
        noise = 1 - table.alpha_bar[solver.times[i]]
        gain = signal * deviation**2 / (signal**2 * deviation**2 + noise)
        return mean + gain * (x - signal * mean)

    key, shape = jax.random.key(0), (500, 3)
    cool, warm = (
        samplers.sample(solver, predict, key, shape, temperature=heat) for heat in (1.0, 1.3)
    )
    flat = samplers.sample(solver, predict, key, shape, temperature=0.0)
    np.testing.assert_allclose(warm - flat, 1.3 * (cool - flat), atol=1e-4)
    np.testing.assert_allclose(flat, flat[:1].repeat(500, 0), atol=1e-6)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import convert
from ofer_jax.models import Denoiser, sampling_fn
from ofer_jax.models.denoiser import sinusoid
from tests import published

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile

SMALL = {"widths": (24, 8), "context_dim": 10, "time_dim": 16, "tokens": 3, "heads": 2}


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.key(0), 2)
    x, context = jax.random.normal(keys[0], (4, 24)), jax.random.normal(keys[1], (4, 10))
    return x, jnp.array([0, 3, 500, 999]), context


def make(inputs, **changes):
    """The jitted network and made-up variables: compiling a real initialisation takes longer."""
    net = Denoiser.from_config({**SMALL, **changes})
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(net.init, jax.random.key(1), *inputs)
    made = jax.tree.map(lambda s: rng.normal(0, 0.2, s.shape).astype(np.float32), shapes)
    return jax.jit(net.apply), made


@pytest.fixture(scope="module")
def small(inputs):
    return make(inputs)


@pytest.mark.parametrize("name", ["denoiser_idgen", "denoiser_expgen"])
def test_agrees_with_the_golden_values(name):
    golden, config = published.golden(name), published.config(name)
    variables = convert.denoiser(published.state_dict(name), config)
    net = Denoiser.from_config(config)
    t = jnp.asarray(golden["in_t"], jnp.int32)
    out = jax.jit(net.apply)(variables, golden["in_x"], t, golden["in_context"])
    assert np.abs(out - golden["out_noise"]).max() < 1e-4 * golden["out_noise"].std()


def test_fresh_variables_have_the_published_layout():
    net = Denoiser(widths=(53, 25, 10), context_dim=1024)
    shapes = (jnp.zeros((1, 53)), jnp.zeros((1,), jnp.int32), jnp.zeros((1, 1024)))
    fresh = jax.eval_shape(net.init, jax.random.key(0), *shapes)
    name = "denoiser_expgen"
    converted = convert.denoiser(published.state_dict(name), published.config(name))
    assert jax.tree.map(jnp.shape, fresh) == jax.tree.map(jnp.shape, converted)


def test_fresh_networks_have_outputs_of_order_one(inputs, small):
    net = Denoiser.from_config(SMALL)
    variables = jax.jit(net.init)(jax.random.key(1), *inputs)
    assert 0.01 < small[0](variables, *inputs).std() < 3


def test_without_attention_it_is_smaller_and_works(inputs):
    apply, variables = make(inputs, attention=False)
    assert apply(variables, *inputs).shape == (4, 24)
    assert not any(name.startswith("attention") for name in variables["params"])


def test_the_data_may_be_narrower_than_the_network(inputs):
    x, t, context = inputs
    apply, variables = make((x[:, :5], t, context), dim=5)
    assert apply(variables, x[:, :5], t, context).shape == (4, 5)


def test_rows_do_not_mix(inputs, small):
    apply, variables = small
    whole = apply(variables, *inputs)
    part = apply(variables, *(a[2:3] for a in inputs))
    np.testing.assert_allclose(whole[2:3], part, atol=1e-6)


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_every_input_matters(inputs, small, changed):
    apply, variables = small
    other = [a + 1 if i == changed else a for i, a in enumerate(inputs)]
    assert np.abs(apply(variables, *other) - apply(variables, *inputs)).max() > 1e-4


def test_every_parameter_has_a_gradient(inputs, small):
    apply, variables = small
    gradient = jax.grad(lambda v: jnp.sum(apply(v, *inputs) ** 2))(variables)
    for path, value in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.isfinite(value).all() and np.abs(value).max() > 0, path


def test_a_zero_vector_has_a_finite_gradient(inputs, small):
    """The attention divides by the vector's length."""
    apply, variables = small
    _, t, context = inputs
    zeros = jax.tree.map(jnp.zeros_like, variables)
    gradient = jax.grad(lambda x: jnp.sum(apply(zeros, x, t, context)))(jnp.zeros((4, 24)))
    assert np.isfinite(gradient).all()


def test_sampling_fn_gives_the_same_numbers_with_context_and_steps_computed_once(inputs, small):
    apply, variables = small
    net, context = Denoiser.from_config(SMALL), inputs[2]
    x, t = jax.random.normal(jax.random.key(5), (12, 24)), jnp.full((12,), 321)
    plain = apply(variables, x, t, jnp.repeat(context, 3, axis=0))
    times = jnp.array([999, 321, 0])
    shared = jax.jit(lambda v, c, x: sampling_fn(net, v, c, 3, times)(x, 1))(variables, context, x)
    np.testing.assert_allclose(shared, plain, atol=1e-6)


def test_the_sinusoid_starts_with_sines_of_falling_frequency():
    out = sinusoid(jnp.array([0, 1]), 512)
    np.testing.assert_allclose(out[0], np.repeat([0.0, 1.0], 256))
    np.testing.assert_allclose(out[1, [0, 255]], np.sin([1.0, 1e-4]), rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**SMALL, "depth": 3}, r"no setting \['depth'\]"),
        ({"dims": [53, 25], "flame_dim": 50, "context_dim": 8}, "flame_dim equal to dims"),
    ],
)
def test_a_senseless_configuration_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        Denoiser.from_config(config)


def test_a_context_of_another_size_is_named(inputs, small):
    apply, variables = small
    with pytest.raises(ValueError, match=r"context \[B, 10\]; got \(4, 24\) and \(4, 7\)"):
        apply(variables, inputs[0], inputs[1], inputs[2][:, :7])

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import convert
from ofer_jax.models import Ranker
from tests import published

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.fixture(scope="module")
def small():
    keys = jax.random.split(jax.random.key(0), 2)
    candidates = jax.random.normal(keys[0], (2, 6, 20, 3))
    context = jax.random.normal(keys[1], (2, 9))
    net = Ranker(hidden=(32, 16))
    variables = jax.jit(net.init)(jax.random.key(1), candidates, context)
    return jax.jit(net.apply), variables, candidates, context


def test_agrees_with_the_golden_values():
    golden = published.golden("ranker")
    net = Ranker.from_config(published.config("ranker"))
    variables = convert.ranker(published.state_dict("ranker"))
    scores = jax.jit(net.apply)(variables, golden["in_vertices_mm"], golden["in_context"])
    np.testing.assert_allclose(scores, golden["out_scores"], atol=1e-4 * golden["out_scores"].std())
    np.testing.assert_allclose(jax.nn.softmax(scores), golden["out_softmax"], atol=1e-5)


def test_scores_move_with_the_candidates(small):
    apply, variables, candidates, context = small
    order = jnp.array([3, 0, 5, 1, 4, 2])
    scores = apply(variables, candidates, context)
    permuted = apply(variables, candidates[:, order], context)
    np.testing.assert_allclose(permuted, scores[:, order], atol=1e-5)
    assert np.abs(np.diff(scores)).max() > 1e-4


@pytest.mark.parametrize("count", [1, 2, 50])
def test_works_for_any_number_of_candidates(small, count):
    apply, variables, candidates, context = small
    some = jnp.tile(candidates[:, :1], (1, count, 1, 1))
    scores = apply(variables, some, context)
    assert scores.shape == (2, count)
    np.testing.assert_allclose(scores, jnp.tile(scores[:, :1], (1, count)), atol=1e-5)


def test_masked_candidates_do_not_change_the_others(small):
    apply, variables, candidates, context = small
    where = jnp.broadcast_to(jnp.arange(6)[None] < 4, (2, 6))
    spoilt = candidates.at[:, 4:].set(jnp.nan)
    scores = apply(variables, spoilt, context, where)[:, :4]
    np.testing.assert_allclose(scores, apply(variables, candidates[:, :4], context), atol=1e-5)


def test_pictures_do_not_mix_and_each_has_its_say(small):
    apply, variables, candidates, context = small
    scores = apply(variables, candidates, context)
    first = apply(variables, candidates[:1], context[:1])
    np.testing.assert_allclose(scores[:1], first, atol=1e-5)
    assert np.abs(apply(variables, candidates, context + 1) - scores).max() > 1e-4


def test_widths_must_split_into_the_groups(small):
    *_, candidates, context = small
    with pytest.raises(ValueError, match="12 channels do not split into 8 groups"):
        Ranker(hidden=(12,)).init(jax.random.key(0), candidates, context)


def test_distance_prefers_the_middle_before_any_training():
    candidates = jnp.linspace(-1.0, 1.0, 5)[None, :, None] * jnp.ones((2, 5, 6)) * 100
    context = jnp.ones((2, 3))
    net = Ranker(hidden=(8,), distance=True)
    scores = net.apply(net.init(jax.random.key(0), candidates, context), candidates, context)
    np.testing.assert_array_equal(jnp.argmax(scores, -1), [2, 2])

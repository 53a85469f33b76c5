import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import convert
from ofer_jax.models import FeatureEncoder, MicaRegressor, Regressor
from tests import published

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.fixture(scope="module")
def features():
    return jax.random.normal(jax.random.key(0), (5, 30))


def test_mica_regressor_agrees_with_the_golden_values():
    name = "mica_regressor"
    net = MicaRegressor.from_config(published.config(name))
    golden = published.golden(name)
    out = net.apply(convert.mica_regressor(published.state_dict(name)), golden["in_embedding"])
    np.testing.assert_allclose(out, golden["out_shape"], atol=1e-5)


def test_the_context_has_unit_scale(features):
    net = FeatureEncoder.from_config({"out_dim": 64, "hidden": [32, 32]})
    context = net.apply(net.init(jax.random.key(1), features), features)
    assert context.shape == (5, 64)
    np.testing.assert_allclose(context.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(context.std(axis=1), 1, atol=1e-3)


def test_dropout_acts_in_training_only(features):
    net = Regressor(out_dim=7, hidden=(32,), dropout=0.5)
    variables = net.init(jax.random.key(1), features)
    train = [
        net.apply(variables, features, deterministic=False, rngs={"dropout": jax.random.key(i)})
        for i in range(2)
    ]
    assert train[0].shape == (5, 7) and np.abs(train[0] - train[1]).max() > 1e-3
    plain = net.apply(variables, features)
    np.testing.assert_array_equal(plain, net.apply(variables, features))


def test_without_hidden_layers_it_is_linear(features):
    net = Regressor(out_dim=3, hidden=())
    variables = net.init(jax.random.key(1), features)
    total = net.apply(variables, features) + net.apply(variables, -features)
    np.testing.assert_allclose(total, jnp.zeros((5, 3)), atol=1e-5)

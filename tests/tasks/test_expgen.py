"""ExpGen: coefficients are scaled in and out, and padded."""

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax.tasks import expgen
from tests import toy

CONFIG = toy.model_config("expgen")


def test_samples_have_the_heads_size_and_the_jaws_scale() -> None:
    params = expgen.init(CONFIG, jax.random.key(0), toy.constants("expgen"))
    # With its last layer zero the network predicts v = 0, the answer to a standard normal.
    params["net"]["out_linear"] = jax.tree.map(jnp.zeros_like, params["net"]["out_linear"])
    features = jnp.zeros((1, toy.FEATURES))
    expression, jaw = expgen.sample(
        CONFIG, params, features, jax.random.key(1), 2000, {"name": "dpm", "steps": 20}
    )
    assert expression.shape == (1, 2000, toy.EXPRESSION)
    assert not np.any(expression[..., CONFIG["num_expression"] :])
    np.testing.assert_allclose(jaw[0].std(0), CONFIG["jaw_scale"], rtol=0.1)
    np.testing.assert_allclose(jaw[0].mean(0), CONFIG["jaw_mean"], atol=0.01)


def test_the_jaw_weighs_as_much_as_the_strongest_expression() -> None:
    weights = toy.constants("expgen")["weights"]
    assert weights.shape == (9,)
    np.testing.assert_allclose(weights[-3:], weights[:-3].max(), rtol=1e-6)
    np.testing.assert_allclose(weights.mean(), 1, rtol=1e-6)

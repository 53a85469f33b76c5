"""Encoders: what training adds, what inference leaves out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax.tasks import conditioning
from tests import toy


def test_dropout_and_feature_noise_are_for_training_alone() -> None:
    config = toy.model_config("expgen")
    params = conditioning.init(config, jax.random.key(0))
    features = jnp.asarray(toy.arrays()["features"][:4])
    calm = conditioning.encode(config, params, features)
    keys = jax.random.split(jax.random.key(1), 4)
    noisy, moved = conditioning.encode_train(config, params, features, keys)
    assert not np.allclose(noisy, calm, atol=1e-3)
    assert moved == {}
    silent = {**config, "feature_noise": 0.0, "encoder": {**config["encoder"], "dropout": 0.0}}
    quiet, _ = conditioning.encode_train(silent, params, features, keys)
    np.testing.assert_allclose(quiet, calm, atol=1e-5)


def test_cached_features_are_the_context_themselves() -> None:
    config = {"encoder": {"name": "cached"}, "features": {"name": "arcface", "size": 10}}
    assert conditioning.init(config, jax.random.key(0)) == {}
    features = jnp.asarray(toy.arrays()["features"][:4])
    np.testing.assert_array_equal(conditioning.encode(config, {}, features), features)
    with pytest.raises(ValueError, match="'resnet' is not known"):
        conditioning.feature_encoder({"encoder": {"name": "resnet"}})

"""Noise belongs to examples, weights follow the head."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax.tasks import common, expgen, idgen
from tests import toy


def batch(rows: np.ndarray) -> dict[str, jax.Array]:
    return {name: jnp.asarray(a[rows]) for name, a in toy.arrays().items()}


def test_the_loss_does_not_depend_on_the_order_of_a_batch() -> None:
    config, constants = toy.model_config("expgen"), toy.constants("expgen")
    params = expgen.init(config, jax.random.key(0), constants)
    rows = np.arange(8)
    losses = [
        float(expgen.loss_fn(config, params, constants, batch(order), jax.random.key(1))[0])
        for order in (rows, rows[::-1])
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    other = expgen.loss_fn(config, params, constants, batch(rows), jax.random.key(2))[0]
    assert float(other) != pytest.approx(losses[0], rel=1e-3)


def test_a_picture_keeps_its_samples_in_other_company() -> None:
    config = toy.model_config("idgen")
    params = idgen.init(config, jax.random.key(0), toy.constants("idgen"))
    features, keys = batch(np.arange(3))["features"], jax.random.split(jax.random.key(1), 3)
    together = idgen.sample(config, params, features, keys, 4)
    alone = idgen.sample(config, params, features[1:2], keys[1:2], 4)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)
    assert together.shape == (3, 4, toy.SHAPE)


def test_a_rigid_motion_weighs_nothing() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((20, 3))
    turn, shift = np.cross([0.1, 0.2, 0.3], points - points.mean(0)), np.ones((20, 3))
    bend = points**2
    gram = common.gram_mm2(points, np.stack([turn, shift, bend, bend + turn], -1))
    np.testing.assert_allclose(gram[:2], 0, atol=1e-6)
    np.testing.assert_allclose(gram[2, 2], gram[3, 3], rtol=1e-9)
    assert gram[2, 2] > 1


def test_weights_are_tempered_to_mean_one() -> None:
    variance = np.array([4.0, 1.0, 0.0])
    np.testing.assert_allclose(common.tempered(variance, 0.0), 1.0)
    np.testing.assert_allclose(common.tempered(variance, 1.0), [2.0, 1.0, 0.0])
    assert common.tempered(variance, 0.5).mean() == pytest.approx(1.0)


def test_a_config_names_the_precision_of_its_tables() -> None:
    config = toy.model_config("idgen")
    ours = common.noise_schedule(config)
    settings = config["schedule"]
    same, published = (
        common.noise_schedule({"schedule": {**settings, "tables": name}})
        for name in ("float64", "float32")
    )
    np.testing.assert_array_equal(same.alpha_bar, ours.alpha_bar)
    assert np.abs(np.asarray(published.alpha_bar) / ours.alpha_bar - 1).max() > 1e-7
    np.testing.assert_allclose(published.alpha_bar, ours.alpha_bar, rtol=3e-4)


def test_the_published_ddim_is_among_the_samplers() -> None:
    config = toy.model_config("idgen") | {"sampler": {"name": "official_ddim"}}
    params = idgen.init(config, jax.random.key(0), toy.constants("idgen"))
    features = batch(np.arange(2))["features"]
    drawn = idgen.sample(config, params, features, jax.random.key(1), 3)
    assert drawn.shape == (2, 3, toy.SHAPE)
    assert np.isfinite(drawn).all()

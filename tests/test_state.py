"""The state: statistics are taken over as they are, and averaged like the params."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ofer_jax import sharding, state

PARAMS = {"net": {"kernel": jnp.ones(2)}, "encoder": {"batch_stats": {"mean": jnp.zeros(2)}}}


def test_what_moved_is_taken_over_and_averaged() -> None:
    tx, grads = optax.sgd(0.5), jax.tree.map(jnp.ones_like, PARAMS)
    moved = {"encoder": {"batch_stats": {"mean": jnp.full(2, 10.0)}}}
    now, norms = state.apply_gradients(
        state.create(PARAMS, tx), grads, optax.with_extra_args_support(tx), 0.9, jnp.ones(()), moved
    )
    np.testing.assert_allclose(now.params["net"]["kernel"], 0.5)
    np.testing.assert_allclose(now.params["encoder"]["batch_stats"]["mean"], 10.0)
    # After the first step the average keeps a tenth of what was.
    np.testing.assert_allclose(now.ema_params["net"]["kernel"], 0.55, rtol=1e-6)
    np.testing.assert_allclose(now.ema_params["encoder"]["batch_stats"]["mean"], 9.0, rtol=1e-6)
    assert now.averaged is now.ema_params
    told = norms | state.change(PARAMS, now.params, jnp.array(True))
    assert {name: round(float(norm), 4) for name, norm in told.items()} == {
        "norm/grad": 2.0,
        "norm/grad/net": round(2**0.5, 4),
        "norm/grad/encoder": round(2**0.5, 4),
        "norm/param": round(2**0.5, 4),
        "norm/param/net": round(2**0.5, 4),
        "norm/param/encoder": 0.0,
        "norm/update": round((0.5 + 200) ** 0.5, 4),
        "norm/update/net": round(0.5**0.5, 4),
        "norm/update/encoder": round(200**0.5, 4),
    }
    unwanted = state.change(PARAMS, now.params, jnp.array(False))
    assert set(unwanted) == set(told) - set(norms) and not any(unwanted.values())


def test_without_an_average_there_is_no_second_copy() -> None:
    tx = optax.with_extra_args_support(optax.sgd(0.5))
    fresh = state.create(PARAMS, tx, ema_decay=0.0)
    grads = jax.tree.map(jnp.ones_like, PARAMS)
    now, _ = state.apply_gradients(fresh, grads, tx, 0.0, jnp.ones(()), {})
    assert now.ema_params is None
    assert now.averaged is now.params
    assert len(jax.tree.leaves(now)) == 1 + len(jax.tree.leaves(PARAMS))
    made = state.start_from(fresh, {"net": {"kernel": np.array([3.0, 4.0])}})
    np.testing.assert_array_equal(made.averaged["net"]["kernel"], [3.0, 4.0])


def test_a_partial_tree_takes_the_place_of_fresh_params() -> None:
    mesh = sharding.make_mesh(4, 2)
    layout = sharding.of_tree(PARAMS, mesh, (("kernel$", "fsdp"), (".*", "replicate")))
    fresh = state.create(jax.device_put(PARAMS, layout), optax.sgd(0.5))
    given = np.array([3.0, 4.0])
    made = state.start_from(fresh, {"net": {"kernel": given}})
    for tree in (made.params, made.ema_params):
        np.testing.assert_array_equal(tree["net"]["kernel"], given)
        assert tree["net"]["kernel"].dtype == jnp.float32
        assert tree["net"]["kernel"].sharding == layout["net"]["kernel"]
        np.testing.assert_array_equal(tree["encoder"]["batch_stats"]["mean"], np.zeros(2))
    assert state.start_from(fresh, {}).params["net"]["kernel"] is fresh.params["net"]["kernel"]


def test_a_tree_that_does_not_fit_is_an_error() -> None:
    for part, message in [
        ({"nets": {}}, "params has no nets, only encoder, net"),
        ({"net": {"kernel": np.ones(3)}}, r"params/net/kernel is \(2,\), and \(3,\) was given"),
        ({"net": np.ones(3)}, r"params/net is more arrays, and \(3,\) was given"),
        ({"net": {"kernel": {}}}, r"params/net/kernel is \(2,\), and more arrays was given"),
    ]:
        with pytest.raises(ValueError, match=message):
            state.overlay(PARAMS, part)

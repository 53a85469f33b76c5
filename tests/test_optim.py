"""Frozen and slow groups, decay on kernels alone, clipping by part."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ofer_jax import optim

PARAMS = {
    "encoder": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)},
    "net": {"kernel": jnp.ones((2, 2))},
    "basis": jnp.ones((2, 2)),
}
CONFIG = {"learning_rate": 0.1, "schedule": "constant", "warmup_steps": 0}


def moved(grads: Any, **changes: Any) -> Any:
    tx = optim.make({**CONFIG, **changes}, 10, ("basis",))
    updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
    return jax.tree.map(np.asarray, updates)


def test_frozen_parts_stay_and_slow_groups_move_less() -> None:
    updates = moved(jax.tree.map(jnp.ones_like, PARAMS), groups={"^encoder/": 0.1})
    assert not updates["basis"].any()
    np.testing.assert_allclose(updates["net"]["kernel"], -0.1, rtol=1e-4)
    np.testing.assert_allclose(updates["encoder"]["kernel"], -0.01, rtol=1e-4)


def test_weight_decay_spares_biases_and_frozen_parts() -> None:
    updates = moved(jax.tree.map(jnp.zeros_like, PARAMS), weight_decay=0.5)
    np.testing.assert_allclose(updates["encoder"]["kernel"], -0.05, rtol=1e-5)
    assert not updates["encoder"]["bias"].any()
    assert not updates["basis"].any()


def test_a_group_that_finds_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="'encodr' finds none"):
        moved(PARAMS, groups={"encodr": 0.1})


def test_each_part_is_clipped_by_its_own_norm() -> None:
    grads = {"net": {"kernel": jnp.full((2, 2), 50.0)}, "encoder": {"kernel": jnp.full(4, 0.1)}}
    clipped, _ = optim.clip_by_part(1.0).update(grads, optax.EmptyState())
    np.testing.assert_allclose(optax.tree.norm(clipped["net"]), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(clipped["encoder"]["kernel"], grads["encoder"]["kernel"])


def test_the_cosine_ends_at_zero_after_a_warm_up() -> None:
    rate = optim.learning_rate({**CONFIG, "schedule": "cosine", "warmup_steps": 10}, 100)
    assert float(rate(0)) == pytest.approx(0.01)
    assert float(rate(10)) == pytest.approx(0.1)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-8)
    with pytest.raises(ValueError, match="'linear'"):
        optim.learning_rate({**CONFIG, "schedule": "linear"}, 100)

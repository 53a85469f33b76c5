"""Frozen and slow groups, decay on kernels alone, clipping by part, the plateau."""

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
    clipped, _ = optim.clipping(1.0).update(grads, optax.EmptyState())
    np.testing.assert_allclose(optax.tree.norm(clipped["net"]), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(clipped["encoder"]["kernel"], grads["encoder"]["kernel"])


def test_all_parts_are_clipped_by_the_norm_of_all() -> None:
    grads = {"net": {"kernel": jnp.full((2, 2), 3.0)}, "encoder": {"kernel": jnp.full(4, 4.0)}}
    clipped, _ = optim.clipping(1.0, "global").update(grads, optax.EmptyState())
    np.testing.assert_allclose(clipped["net"]["kernel"], 0.3, rtol=1e-6)
    np.testing.assert_allclose(clipped["encoder"]["kernel"], 0.4, rtol=1e-6)
    small = jax.tree.map(lambda g: g / 100, grads)
    same, _ = optim.clipping(1.0, "global").update(small, optax.EmptyState())
    jax.tree.map(np.testing.assert_array_equal, same, small)
    with pytest.raises(ValueError, match="clip_by is 'norm'; use 'part' or 'global'"):
        optim.make({**CONFIG, "clip": 1.0, "clip_by": "norm"}, 10)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau"])
def test_every_schedule_warms_up(schedule: str) -> None:
    config = {**CONFIG, "schedule": schedule, "warmup_steps": 4, "epoch_steps": 1}
    tx, grads = optim.make(config, 1000), jax.tree.map(jnp.ones_like, PARAMS)
    state, steps = tx.init(PARAMS), []
    for _ in range(5):
        updates, state = tx.update(grads, state, PARAMS, value=jnp.zeros(()))
        steps.append(-float(updates["net"]["kernel"][0, 0]))
    np.testing.assert_allclose(steps[:4], [0.025, 0.04375, 0.0625, 0.08125], rtol=1e-3)
    assert 0.0985 < steps[4] < 0.1001


def test_the_cosine_ends_at_zero_after_a_warm_up() -> None:
    rate = optim.learning_rate({**CONFIG, "schedule": "cosine", "warmup_steps": 10}, 100)
    assert float(rate(0)) == pytest.approx(0.01)
    assert float(rate(10)) == pytest.approx(0.1)
    assert float(rate(100)) == pytest.approx(0.0, abs=1e-8)
    with pytest.raises(ValueError, match="'linear'"):
        optim.learning_rate({**CONFIG, "schedule": "linear"}, 100)


ENCODER = {
    "arcface": {
        "params": {"stage_3_0": {"kernel": jnp.ones((2, 2))}, "fc": {"kernel": jnp.ones((2, 2))}},
        "batch_stats": {"features": {"mean": jnp.ones((2, 2))}},
    },
    "farl": {"params": {"proj": {"kernel": jnp.ones((2, 2))}}},
}


def test_encoders_are_slow_frozen_stages_stay_and_statistics_never_get_a_step() -> None:
    params = {"encoder": ENCODER, "net": {"kernel": jnp.ones((2, 2))}}
    config = {**CONFIG, "weight_decay": 0.1, "groups": {"^encoder/": 0.1, "batch_stats": 1.0}}
    tx = optim.make(config, 10, (r"encoder/arcface/params/(conv|stage_[1-3]_\d+)",))
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
    step = jax.tree.map(lambda u: round(float(u[0, 0]), 4), updates)
    assert step["net"]["kernel"] == -0.11
    assert step["encoder"]["farl"]["params"]["proj"]["kernel"] == -0.011
    assert step["encoder"]["arcface"] == {
        "params": {"stage_3_0": {"kernel": 0.0}, "fc": {"kernel": -0.011}},
        "batch_stats": {"features": {"mean": 0.0}},
    }


# ---------------------------------------------------------------- plateau


def pytorchs_rates(losses: np.ndarray) -> list[float]:
    """The rate in each epoch by ReduceLROnPlateau(factor=0.99, patience=2): a loss a whole relative
    1e-4 below the best resets the count of bad epochs; more than 2 cut the rate and reset it."""
    rate, best, bad, rates = 1.0, np.inf, 0, []
    for loss in losses:
        rates.append(rate)
        if loss < best * (1 - 1e-4):
            best, bad = loss, 0
        else:
            bad += 1
        if bad > 2:
            rate, bad = 0.99 * rate, 0
    return rates


def scales(tx: optax.GradientTransformationExtraArgs, values: np.ndarray) -> list[float]:
    """What a step of 1 becomes at each value."""
    ones = {"kernel": jnp.ones(2)}
    state, found = tx.init(ones), []
    update = jax.jit(lambda state, value: tx.update(ones, state, ones, value=value))
    for value in values.astype(np.float32):
        updates, state = update(state, value)
        found.append(float(updates["kernel"][0]))
    return found


@pytest.fixture
def falling(rng: np.random.Generator) -> np.ndarray:
    """60 epochs' losses: falling with noise, one not a number, some better by less than counts."""
    losses = 1 + np.exp(-np.arange(60) / 8) + 0.02 * rng.standard_normal(60)
    losses[30], losses[40:46] = np.nan, losses[39] * (1 - 5e-5)
    return losses


def test_the_plateau_counts_as_pytorch_does(falling: np.ndarray) -> None:
    expected = pytorchs_rates(falling)
    assert 5 < len(set(expected)) < 20
    np.testing.assert_allclose(scales(optim.plateau(1), falling), expected, rtol=1e-6)


def test_the_plateau_goes_by_the_mean_of_an_epoch(falling: np.ndarray) -> None:
    steps = falling[:, None] + np.array([-0.5, 0.0, 0.25, 0.25])
    expected = np.repeat(pytorchs_rates(falling), 4)
    np.testing.assert_allclose(scales(optim.plateau(4), steps.ravel()), expected, rtol=1e-5)


def test_the_plateau_scales_every_group_alike() -> None:
    config = {**CONFIG, "schedule": "plateau", "epoch_steps": 1, "groups": {"^encoder/": 0.1}}
    tx, grads = optim.make(config, 10, ("basis",)), jax.tree.map(jnp.ones_like, PARAMS)
    state, steps = tx.init(PARAMS), []
    for _ in range(5):
        updates, state = tx.update(grads, state, PARAMS, value=jnp.ones(()))
        steps.append(jax.tree.map(lambda u: float(u.ravel()[0]), updates))
    # The first epoch is the best, the next three are bad, and the fifth has the lower rate.
    assert steps[3]["net"]["kernel"] == pytest.approx(-0.1, rel=1e-4)
    assert steps[4]["net"]["kernel"] == pytest.approx(-0.099, rel=1e-4)
    assert steps[4]["encoder"]["kernel"] == pytest.approx(-0.0099, rel=1e-4)


def test_the_plateau_needs_the_length_of_an_epoch() -> None:
    with pytest.raises(ValueError, match=r"epoch_steps.* must be set .*; it is 0"):
        optim.make({**CONFIG, "schedule": "plateau"}, 10)

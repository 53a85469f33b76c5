"""A step that is not finite changes nothing, ends the run and is explained."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import checkpoint, nonfinite, train, writers
from ofer_jax.state import TrainState
from tests import toy


def state(step: int, value: float) -> TrainState:
    return TrainState(jnp.int32(step), {"a": jnp.full(2, value)}, None, jnp.float32(value))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_guarded_step_keeps_the_state_and_marks_it(bad: float) -> None:
    kept, fine = nonfinite.guarded(state(4, 1.0), state(5, 2.0), jnp.float32(3), jnp.float32(bad))
    assert not fine
    assert int(kept.step) == nonfinite.BROKEN
    np.testing.assert_array_equal(kept.params["a"], [1, 1])
    assert float(kept.opt_state) == 1
    # Later steps leave it alone, though they would be finite.
    later, fine = nonfinite.guarded(kept, state(6, 7.0), jnp.float32(3), jnp.float32(3))
    assert not fine
    assert int(later.step) == nonfinite.BROKEN
    np.testing.assert_array_equal(later.params["a"], [1, 1])


def test_a_finite_step_is_taken() -> None:
    taken, fine = nonfinite.guarded(state(4, 1.0), state(5, 2.0), jnp.float32(3), jnp.float32(4))
    assert fine
    assert int(taken.step) == 5
    np.testing.assert_array_equal(taken.params["a"], [2, 2])


class Spoilt(toy.Batches):
    """Row 3 of batch `at` holds what no number is."""

    at = 7

    def __next__(self) -> dict[str, Any]:
        batch = super().__next__()
        if self.position == self.at:
            batch["features"][3] = np.nan
        return batch


@pytest.mark.parametrize("at", [7, 10])  # 10: at a checkpoint
def test_the_run_ends_with_what_explains_it(at: int, tmp_path: Path) -> None:
    config, constants = toy.config("idgen", 20), toy.constants("idgen")
    batches, writer = Spoilt(), writers.Writer(tmp_path, "toy", 10)
    batches.at = at
    seen: list[bool] = []

    def judge(params: Any) -> dict[str, float]:
        seen.append(all(np.isfinite(x).all() for x in jax.tree.leaves(jax.device_get(params))))
        return {"loss": 1.0, "regressor_loss": 1.0}

    given = {"constants": constants, "writer": writer}
    message = rf"step {at} is not finite: loss nan.*norm/grad nan.*nonfinite/{at}.json"
    with pytest.raises(FloatingPointError, match=message):
        train.train(config, tmp_path, batches, {"valid": judge}, **given)
    assert seen == [True]  # after step 5
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["5"]
    told = json.loads((tmp_path / "nonfinite" / f"{at}.json").read_text())
    assert told["step"] == at
    assert told["metrics"]["loss"] == "nan"
    first = (at - 1) * 16
    assert told["index"] == list(range(first, first + 16))
    assert told["not_finite"] == [first + 3]  # the one that did it
    assert [isinstance(x, str) for x in told["loss"]] == [i == 3 for i in range(16)]
    with np.load(tmp_path / "nonfinite" / f"{at}.npz") as arrays:
        assert np.isnan(arrays["features"][3]).all()
    assert max(line["step"] for line in toy.metrics(tmp_path)) == at - 1
    # Started again on sound data, the run goes on from its last checkpoint.
    assert checkpoint.exists(tmp_path)


def test_losses_of_examples_alone_are_those_of_the_step(tmp_path: Path) -> None:
    """Their mean is the loss of the step, since noise belongs to the example."""
    config, constants = toy.config("expgen"), toy.constants("expgen")
    task, model = train.TASKS["expgen"], config.model.to_dict()
    params = task.init(model, jax.random.key(0), constants)
    batch, key = jax.tree.map(jnp.asarray, next(toy.Batches())), jax.random.key(5)
    batch["index"] = batch["index"].astype(jnp.uint32)

    def loss_fn(params: Any, constants: Any, batch: Any, key: Any) -> Any:
        return task.loss_fn(model, params, constants, batch, key)

    whole = loss_fn(params, constants, batch, key)[0]
    nonfinite.explained(tmp_path, 1, {}, batch, loss_fn, params, constants, key)
    told = json.loads((tmp_path / "nonfinite" / "1.json").read_text())
    np.testing.assert_allclose(np.mean(told["loss"]), whole, rtol=1e-5)

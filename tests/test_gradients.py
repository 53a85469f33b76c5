"""Gradients in microbatches are those of the whole batch, on one device and on eight."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from ofer_jax import best, checkpoint, gradients, optim, sharding, state, train, writers
from tests import toy


def in_float64(tree: Any) -> Any:
    def cast(x: Any) -> np.ndarray:
        x = np.asarray(x)
        return x.astype(np.float64) if np.issubdtype(x.dtype, np.floating) else x

    return jax.tree.map(cast, tree)


def compiled(task: str, mesh: Mesh, microbatches: int) -> tuple[Any, Any]:
    """(a step in float64, its arguments), of 16 rows."""
    config, made, constants = toy.config(task), train.TASKS[task], toy.constants(task)
    model, settings = config.model.to_dict(), {**config.optim, "accumulate": microbatches}
    tx = optim.make(settings, 20, made.frozen(model))
    params = in_float64(jax.jit(lambda key: made.init(model, key, constants))(jax.random.key(1)))
    start = state.create(params, tx)
    layout = sharding.of_tree(start, mesh, sharding.REPLICATE)
    everywhere = sharding.replicated(mesh)
    step = train.make_train_step(made, model, tx, 0.9, layout.params, settings)
    batch = sharding.put_batch(in_float64(next(toy.Batches())), sharding.of_batch(mesh))
    rest = sharding.put_global(in_float64(constants), everywhere)
    key = jax.device_put(jax.random.key(0), everywhere)
    args = (jax.device_put(start, layout), batch, key, rest)
    return jax.jit(step).lower(*args).compile(), args


@pytest.mark.parametrize("task", sorted(train.TASKS))
def test_microbatches_are_the_whole_batch(task: str) -> None:
    one, all_devices = sharding.make_mesh(devices=jax.devices()[:1]), sharding.make_mesh()
    with jax.enable_x64(True):
        whole, parts, spread = (
            step(*args)
            for step, args in (
                compiled(task, *kind) for kind in ((one, 1), (one, 4), (all_devices, 2))
            )
        )
    assert jax.tree.leaves(whole[0].params)[0].dtype == np.float64
    for after, metrics in (parts, spread):
        np.testing.assert_allclose(metrics["loss"], whole[1]["loss"], rtol=1e-9)
        np.testing.assert_allclose(metrics["norm/grad"], whole[1]["norm/grad"], rtol=1e-9)
        for x, y in zip(jax.tree.leaves(after), jax.tree.leaves(whole[0]), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9 * (1 + np.abs(y).max()))


def test_no_row_changes_its_device() -> None:
    """Whatever the number of microbatches, the devices talk once, to sum what they found."""
    with jax.enable_x64(True):
        step, _ = compiled("expgen", sharding.make_mesh(), 2)
    text = step.as_text()
    moving = ("all-to-all", "collective-permute", "all-gather", "reduce-scatter")
    assert not any(f" {name}(" in text for name in moving)
    assert text.count(" all-reduce(") == 1


PARAMS = {"net": {"kernel": jnp.array([1.0, 2.0])}, "basis": jnp.zeros(2)}


def test_what_moves_without_a_gradient_is_the_mean_of_the_parts() -> None:
    """And nothing is worked out for what is not trained: here it would not be finite."""

    def loss_fn(params: Any, batch: Any, key: Any, constants: Any) -> Any:
        mean = jnp.mean(batch, 0)
        loss = jnp.sum(params["net"]["kernel"] * mean) + jnp.sum(jnp.sqrt(params["basis"]))
        return loss, {"mean": mean, "square": mean**2}

    rows = jnp.arange(12.0).reshape(6, 2)
    made = gradients.of_loss(loss_fn, {"^basis": 0.0}, 3)
    (loss, moved), grads = made(PARAMS, rows, jax.random.key(0), None)
    parts = np.stack([np.mean([rows[m], rows[m + 3]], 0) for m in range(3)])
    np.testing.assert_allclose(moved["mean"], rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(moved["square"], np.mean(parts**2, 0), rtol=1e-6)
    np.testing.assert_allclose(grads["net"]["kernel"], rows.mean(0), rtol=1e-6)
    np.testing.assert_array_equal(grads["basis"], np.zeros(2))
    assert float(loss) == pytest.approx(17.0)


def test_a_batch_that_does_not_split_is_an_error_before_anything_compiles() -> None:
    config = toy.config("expgen")
    config.optim.accumulate = 3
    with pytest.raises(ValueError, match=r"batch_size 16 does not split over 8 devices in 3 micro"):
        train.program(config, toy.constants("expgen"))
    with pytest.raises(ValueError, match="does not split over 8 devices; use a multiple of 8"):
        gradients.check(12, 8, 1)
    with pytest.raises(ValueError, match="accumulate is 0; use 1 or more"):
        gradients.check(16, 8, 0)
    with pytest.raises(ValueError, match="6 rows do not split into 4 microbatches"):
        gradients.of_loss(lambda *_: None, {}, 4)(PARAMS, jnp.zeros((6, 2)), None, None)


def test_a_run_in_microbatches_and_bfloat16_without_an_average_goes_on_bit_for_bit(
    tmp_path: Path,
) -> None:
    def run(workdir: Path, total: int) -> state.TrainState:
        def judge(params: Any) -> dict[str, float]:
            return {"loss": -float(jnp.sum(jnp.abs(params["net"]["init_linear"]["bias"])))}

        config = toy.config("expgen", total)
        config.update({"ema_decay": 0.0, "compute_dtype": "bfloat16", "eval_steps": 2})
        config.optim.update({"accumulate": 2, "schedule": "constant"})
        return train.train(
            config,
            workdir,
            toy.Batches(16),
            {"valid": judge},
            constants=toy.constants("expgen"),
            writer=writers.Silent(),
        )

    run(tmp_path / "parts", 2)
    resumed, whole = run(tmp_path / "parts", 4), run(tmp_path / "whole", 4)
    assert resumed.ema_params is None
    jax.tree.map(np.testing.assert_array_equal, *jax.device_get((resumed, whole)))
    layout = best.layout(train.TASKS["expgen"].BEST, jax.eval_shape(lambda: whole.params))
    found = checkpoint.read_best(tmp_path / "parts", layout)
    assert int(found["steps"]["loss"]) == 4
    jax.tree.map(np.testing.assert_array_equal, found["params"], jax.device_get(whole.params))

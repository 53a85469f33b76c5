"""Training in bfloat16: the networks' products alone, near float32, and nothing of it is kept."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.extend import core
from ml_collections import ConfigDict

from ofer_jax import optim, state, train
from ofer_jax.tasks import common
from tests import toy

TASKS = sorted(train.TASKS)


def configs(task: str, pictures: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """A task's config in training, in float32 and in bfloat16."""
    config = (toy.picture_training if pictures else toy.config)(task)
    if task == "idrank":  # the toy's norm of two channels at a time has nearly no gradient
        config.model.net = ConfigDict({"hidden": [32, 16], "groups": 2})
    plain = train.training_model(config)
    config.compute_dtype = "bfloat16"
    return plain, train.training_model(config)


def gradient_fn(task: str, model: dict[str, Any], train_mode: bool = True) -> Any:
    made, constants = train.TASKS[task], toy.constants(task)

    def loss_fn(params: Any, batch: Any) -> Any:
        return made.loss_fn(model, params, constants, batch, jax.random.key(0), train_mode)

    return jax.value_and_grad(loss_fn, has_aux=True)


def fresh(task: str, model: dict[str, Any]) -> Any:
    constants = toy.constants(task)
    return jax.jit(lambda key: train.TASKS[task].init(model, key, constants))(jax.random.key(1))


def assert_near(task: str, pictures: bool, tolerance: float) -> None:
    found = []
    for model in configs(task, pictures):
        params = fresh(task, model)
        batch = next(toy.Batches(8 if pictures else 16, pictures=pictures))
        found.append(jax.jit(gradient_fn(task, model))(params, batch))
    ((loss, _), grads), ((rough_loss, (metrics, moved)), rough) = found
    kept = jax.tree.leaves((rough, rough_loss, metrics, moved))
    assert {str(x.dtype) for x in kept} == {"float32"}
    assert float(rough_loss) == pytest.approx(float(loss), rel=tolerance)
    assert float(rough_loss) != float(loss)
    difference = optax.tree.norm(jax.tree.map(jnp.subtract, rough, grads))
    assert float(difference / optax.tree.norm(grads)) < 4 * tolerance


@pytest.mark.parametrize("task", TASKS)
def test_loss_and_gradients_are_near_those_of_float32(task: str) -> None:
    """A number of bfloat16 has 8 bits, so is off by up to 2^-9 = 0.002 of itself; a loss adds up
    many such errors of either sign, and a gradient passes the layers twice."""
    assert_near(task, pictures=False, tolerance=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["idgen", "expgen"])
def test_those_of_the_published_encoders_too(task: str) -> None:
    assert_near(task, pictures=True, tolerance=0.02)


def products(jaxpr: core.Jaxpr) -> Iterator[set[str]]:
    """The types of what each matrix product or convolution multiplies."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("dot_general", "conv_general_dilated"):
            yield {str(x.aval.dtype) for x in eqn.invars}
        for inner in core.jaxprs_in_params(eqn.params):
            yield from products(inner)


@pytest.mark.parametrize(("task", "pictures"), [("idgen", False), ("expgen", True)])
def test_the_products_of_the_networks_are_in_bfloat16(task: str, pictures: bool) -> None:
    batch = next(toy.Batches(8, pictures=pictures))
    batch["index"] = batch["index"].astype(np.uint32)
    both, constants = configs(task, pictures), toy.constants(task)
    key = jax.random.key(0)
    shapes = jax.eval_shape(lambda: train.TASKS[task].init(both[0], key, constants))
    shares = []
    for model in both:
        made = jax.make_jaxpr(gradient_fn(task, model))(shapes, batch)
        kinds = list(products(made.jaxpr))
        assert all(len(kind) == 1 for kind in kinds)
        shares.append(sum(kind == {"bfloat16"} for kind in kinds) / len(kinds))
    # All but the last layers, and the products with the head's own matrices.
    assert shares[0] == 0
    assert shares[1] > 0.6


def test_params_and_moments_stay_float32_and_training_goes_as_in_float32() -> None:
    losses = []
    for model in configs("expgen"):
        made, constants = train.TASKS["expgen"], toy.constants("expgen")
        config = {**toy.config("expgen").optim, "learning_rate": 1e-2, "schedule": "constant"}
        tx = optim.make(config, 200, made.frozen(model))
        step = jax.jit(train.make_train_step(made, model, tx, 0.9, None, config))
        now, batches, seen = state.create(fresh("expgen", model), tx), toy.Batches(), []
        for _ in range(150):
            batch = next(batches)
            batch["index"] = batch["index"].astype(np.uint32)
            now, metrics = step(now, batch, jax.random.key(0), constants)
            seen.append(float(metrics["loss"]))
        kept = (now.params, now.ema_params, now.opt_state, metrics)
        kinds = {x.dtype for x in jax.tree.leaves(kept) if jnp.issubdtype(x.dtype, jnp.floating)}
        assert kinds == {np.dtype("float32")}
        losses.append(seen)
    exact, rough = np.array(losses)
    assert exact[-50:].mean() < 0.9 * exact[:10].mean()
    assert rough[-50:].mean() == pytest.approx(exact[-50:].mean(), rel=0.01)


def test_evaluation_and_bundles_keep_float32() -> None:
    config = toy.config("expgen")
    params, figures = fresh("expgen", config.model.to_dict()), []
    for name in ("float32", "bfloat16"):
        config.compute_dtype = name
        evaluate = train.make_evaluator(config, toy.constants("expgen"), toy.arrays(), 1)
        figures.append(evaluate(params))
        assert "compute_dtype" not in config.model
    assert figures[0] == figures[1]


def test_an_unknown_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="'float16'; use 'float32' or 'bfloat16'"):
        common.compute_dtype({"compute_dtype": "float16"})
    config = toy.config("expgen")
    config.compute_dtype = "float16"
    with pytest.raises(ValueError, match="'float16'; use"):
        train.program(config, toy.constants("expgen"))

"""One device and eight give the same numbers; rules place the state."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from ofer_jax import optim, sharding, state, train
from tests import toy

REPLICATED, FSDP = ((".*", "replicate"),), (("kernel$", "fsdp"), (".*", "replicate"))


@pytest.fixture(autouse=True)
def quick_compilation() -> Iterator[None]:
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def as_dtype(tree: Any, dtype: Any) -> Any:
    def cast(x: Any) -> np.ndarray:
        x = np.asarray(x)
        return x.astype(dtype) if np.issubdtype(x.dtype, np.floating) else x

    return jax.tree.map(cast, tree)


def run(
    task: str, mesh: Mesh, rules: Any, steps: int, dtype: Any, pictures: bool = False
) -> tuple[Any, np.ndarray]:
    """(state, losses) after `steps` steps from the same start on a mesh."""
    config, made = (toy.picture_training if pictures else toy.config)(task, 50), train.TASKS[task]
    model = config.model.to_dict()
    tx = optim.make(config.optim, 50, made.frozen(model))
    constants = as_dtype(toy.constants(task), dtype)
    fresh = jax.jit(lambda key, held: made.init(model, key, held))
    start = state.create(as_dtype(fresh(jax.random.key(1), toy.constants(task)), dtype), tx)
    layout = sharding.of_tree(start, mesh, rules)
    by_batch, everywhere = sharding.of_batch(mesh), sharding.replicated(mesh)
    step = jax.jit(
        train.make_train_step(made, model, tx, 0.9),
        in_shardings=(layout, by_batch, everywhere, everywhere),
        out_shardings=(layout, everywhere),
    )
    now, losses = jax.device_put(start, layout), []
    batches = toy.Batches(8 if pictures else 16, pictures=pictures)
    key = jax.device_put(jax.random.key(0), everywhere)
    for _ in range(steps):
        batch = sharding.put_batch(as_dtype(next(batches), dtype), by_batch)
        now, metrics = step(now, batch, key, constants)
        losses.append(float(metrics["loss"]))
    return jax.device_get(now), np.array(losses)


def assert_close(a: Any, b: Any, relative: float) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=relative, atol=relative * (1 + np.abs(x).max()))


@pytest.mark.parametrize("task", sorted(train.TASKS))
def test_fifty_steps_in_float64_are_the_same_on_one_device_and_eight(task: str) -> None:
    with jax.enable_x64(True):
        one = run(task, sharding.make_mesh(devices=jax.devices()[:1]), REPLICATED, 50, np.float64)
        eight = run(task, sharding.make_mesh(4, 2), FSDP, 50, np.float64)
    assert jax.tree.leaves(one[0].params)[0].dtype == np.float64
    np.testing.assert_allclose(one[1], eight[1], rtol=1e-9)
    assert_close(one[0].params, eight[0].params, 1e-9)
    assert_close(one[0].ema_params, eight[0].ema_params, 1e-9)


@pytest.mark.slow
def test_arcface_in_float64_is_the_same_on_one_device_and_eight() -> None:
    """BatchNorm sees the whole batch, one picture a device; the plateau is everywhere the same."""
    with jax.enable_x64(True):
        one, eight = (
            run("idgen", sharding.make_mesh(*sizes), rules, 4, np.float64, pictures=True)
            for sizes, rules in (((1, 1, jax.devices()[:1]), REPLICATED), ((4, 2), FSDP))
        )
    stats = one[0].params["encoder"]["arcface"]["batch_stats"]
    assert stats["out_norm"]["var"].dtype == np.float64
    np.testing.assert_allclose(one[1], eight[1], rtol=1e-9)
    assert_close(one[0], eight[0], 1e-9)


def test_five_steps_in_float32_are_the_same_on_one_device_and_eight() -> None:
    one = run("idgen", sharding.make_mesh(devices=jax.devices()[:1]), REPLICATED, 5, np.float32)
    eight = run("idgen", sharding.make_mesh(), REPLICATED, 5, np.float32)
    np.testing.assert_allclose(one[1], eight[1], rtol=1e-5)


def test_the_first_gradient_is_the_same_on_one_device_and_eight() -> None:
    config, constants, made = toy.config("idgen"), toy.constants("idgen"), train.TASKS["idgen"]
    params = made.init(config.model.to_dict(), jax.random.key(1), constants)

    def gradient(mesh: Mesh) -> Any:
        by_batch, everywhere = sharding.of_batch(mesh), sharding.replicated(mesh)
        batch = sharding.put_batch(next(toy.Batches()), by_batch)
        held = sharding.put_global((params, constants), everywhere)

        def loss_fn(params: Any, constants: Any, batch: Any, key: Any) -> Any:
            return made.loss_fn(config.model.to_dict(), params, constants, batch, key)[0]

        key = jax.device_put(jax.random.key(0), everywhere)
        return jax.device_get(jax.jit(jax.grad(loss_fn))(*held, batch, key))

    one, eight = (gradient(sharding.make_mesh(devices=jax.devices()[:n])) for n in (1, 8))
    difference = jax.tree.map(np.subtract, one, eight)
    norms = [float(optim_norm(tree)) for tree in (difference, one)]
    assert norms[0] < 1e-5 * norms[1]


def optim_norm(tree: Any) -> float:
    return np.sqrt(sum(np.sum(np.square(x, dtype=np.float64)) for x in jax.tree.leaves(tree)))


def test_rules_split_what_can_be_split_and_list_the_rest() -> None:
    mesh = sharding.make_mesh(2, 4)
    tree = {"a": {"kernel": jnp.zeros((6, 8))}, "b": {"kernel": jnp.zeros((3, 5))}, "c": 0.0}
    tree["c"] = jnp.zeros(4)
    layout = sharding.of_tree(tree, mesh, FSDP)
    assert layout["a"]["kernel"].spec == PartitionSpec(None, "fsdp")
    assert layout["b"]["kernel"].spec == PartitionSpec()
    assert layout["c"].spec == PartitionSpec()
    assert sharding.whole(tree, layout) == ["b/kernel"]


def test_a_rule_that_finds_nothing_is_an_error() -> None:
    tree, mesh = {"kernel": jnp.zeros((4, 4))}, sharding.make_mesh()
    with pytest.raises(ValueError, match="'kernal' finds none"):
        sharding.of_tree(tree, mesh, (("kernal", "fsdp"), (".*", "replicate")))
    with pytest.raises(ValueError, match="no sharding rule finds 'bias'"):
        sharding.of_tree({**tree, "bias": jnp.zeros(4)}, mesh, (("kernel", "fsdp"),))


def test_a_mesh_of_another_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 x fsdp 2 is not the number of devices, 8"):
        sharding.make_mesh(3, 2)

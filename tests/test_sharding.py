"""One device and eight give the same numbers; rules place the state."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from ofer_jax import sharding, train
from tests import steps, toy

FSDP = (("kernel$", "fsdp"), (".*", "replicate"))


alone = functools.cache(functools.partial(steps.run, mode=None))


@pytest.mark.parametrize(
    ("task", "mode"),
    [*(("idgen", mode) for mode in sharding.MODES), ("idrank", "fsdp"), ("expgen", "both")],
)
def test_fifty_steps_in_float64_are_the_same_on_one_device_and_eight(task: str, mode: str) -> None:
    with jax.enable_x64(True):
        one, eight = alone(task, steps=50, dtype=np.float64), steps.run(task, mode, 50, np.float64)
    assert jax.tree.leaves(one[0].params)[0].dtype == np.float64
    np.testing.assert_allclose(one[1], eight[1], rtol=1e-9)
    steps.assert_close(one[0], eight[0], 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["data", "both"])
def test_arcface_in_float64_is_the_same_on_one_device_and_eight(mode: str) -> None:
    """BatchNorm sees the whole batch, one picture a device; the plateau is everywhere the same."""
    with jax.enable_x64(True):
        given = {"steps": 4, "dtype": np.float64, "pictures": True}
        one, eight = alone("idgen", **given), steps.run("idgen", mode, **given)
    stats = one[0].params["encoder"]["arcface"]["batch_stats"]
    assert stats["out_norm"]["var"].dtype == np.float64
    np.testing.assert_allclose(one[1], eight[1], rtol=1e-9)
    steps.assert_close(one[0], eight[0], 1e-9)


@pytest.mark.parametrize("mode", sharding.MODES)
def test_five_steps_in_float32_are_the_same_on_one_device_and_eight(mode: str) -> None:
    one, eight = alone("idgen", steps=5, dtype=np.float32), steps.run("idgen", mode, 5, np.float32)
    np.testing.assert_allclose(one[1], eight[1], rtol=1e-5)


@pytest.mark.parametrize("mode", sharding.MODES)
def test_the_first_gradient_is_the_same_on_one_device_and_eight(mode: str) -> None:
    config, constants, made = toy.config("idgen"), toy.constants("idgen"), train.TASKS["idgen"]

    def loss_fn(params: Any, batch: Any, key: Any, constants: Any) -> Any:
        return made.loss_fn(config.model.to_dict(), params, constants, batch, key)

    def gradient(mode: str | None) -> Any:
        with steps.on_mesh(config, mode):
            program = train.program(config, constants)
        layout = jax.tree.map(lambda x: x.sharding, program.abstract.params)
        everywhere = sharding.replicated(program.mesh)
        batch = sharding.put_batch(next(toy.Batches()), sharding.of_batch(program.mesh))
        params = jax.device_put(steps.start("idgen").params, layout)
        key, held = jax.device_put((jax.random.key(0), constants), everywhere)
        spread = sharding.spread(jax.value_and_grad(loss_fn, has_aux=True), layout, {"^basis": 0.0})
        return jax.device_get(jax.jit(spread)(params, batch, key, held)[1])

    one, eight = gradient(None), gradient(mode)
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


@pytest.mark.parametrize(
    ("mode", "data", "fsdp", "shape"),
    [
        ("data", -1, -1, (8, 1)),
        ("data", 8, 1, (8, 1)),
        ("fsdp", -1, -1, (1, 8)),
        ("fsdp", 1, 8, (1, 8)),
        ("both", 2, -1, (2, 4)),
        ("both", -1, 2, (4, 2)),
        ("both", -1, -1, (1, 8)),  # the devices of each process hold the state together
    ],
)
def test_the_mode_chooses_the_mesh(mode: str, data: int, fsdp: int, shape: tuple) -> None:
    config = {"mode": mode, "data": data, "fsdp": fsdp, "rules": ()}
    assert tuple(sharding.mesh_of(config).shape.values()) == shape
    assert sharding.rules_of(config) == ((".*", "replicate" if mode == "data" else "fsdp"),)
    assert sharding.rules_of({**config, "rules": FSDP}) == FSDP


@pytest.mark.parametrize(
    ("mode", "data", "fsdp", "said"),
    [
        ("zero", -1, -1, "mesh.mode is 'zero'; use 'data', 'fsdp', 'both'"),
        ("data", -1, 8, "mesh.fsdp is 8, but mesh.mode is 'data'; leave it at -1, or set"),
        ("fsdp", 2, 4, "mesh.data is 2, but mesh.mode is 'fsdp'"),
        ("both", 3, 2, "data 3 x fsdp 2 is not the number of devices, 8"),
        ("both", -1, 0, "data -1 and fsdp 0 must be -1 or positive"),
    ],
)
def test_a_mesh_that_does_not_fit_is_an_error(mode: str, data: int, fsdp: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sharding.mesh_of({"mode": mode, "data": data, "fsdp": fsdp})


def test_a_rule_may_name_the_axes() -> None:
    """Any spec of params gives the same gradients: over both axes, and over one of them."""
    mesh = sharding.make_mesh(4, 2)
    params = {"a": jnp.arange(32.0).reshape(8, 4) / 32, "b": jnp.ones((4, 2)), "c": jnp.ones(2)}
    rules = (("a", (("data", "fsdp"), None)), ("b", ("data", "fsdp")), (".*", "replicate"))
    rows = jnp.arange(128.0).reshape(16, 8) / 128

    def loss_fn(params: Any, batch: Any, key: Any, constants: Any) -> Any:
        out = jnp.tanh(batch @ params["a"]) @ params["b"] + params["c"][None]
        return jnp.mean(out**2), {"mean": jnp.mean(out)}

    gradients = jax.value_and_grad(loss_fn, has_aux=True)
    layout = sharding.of_tree(params, mesh, rules)
    assert layout["a"].spec == PartitionSpec(("data", "fsdp"), None)
    spread = jax.jit(sharding.spread(gradients, layout), out_shardings=(None, layout))
    steps.assert_close(spread(params, rows, None, None), gradients(params, rows, None, None), 1e-5)

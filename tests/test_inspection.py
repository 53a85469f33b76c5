"""The parameter table, and the operations of a program."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from ofer_jax import inspection, optim, sharding


def test_the_table_counts_each_module_by_how_it_learns() -> None:
    params = {
        "basis": np.zeros((3, 2)),
        "encoder": {
            "arcface": {
                "params": {f"stage_1_{i}": {"conv": {"kernel": np.zeros(5)}} for i in range(3)},
                "batch_stats": {"stage_1_0": {"norm": {"mean": np.zeros(7)}}},
            }
        },
        "net": {
            "blocks_0": {"kernel": np.zeros(1100)},
            "blocks_1": {"kernel": np.zeros(13)},
            "bias": np.zeros(2),
        },
    }
    factors = optim.labels(params, {"^encoder/": 0.1, "^basis": 0.0, "blocks_0": 0.0})
    assert inspection.table(params, factors, 1e-3).splitlines() == [
        "basis                              6  frozen",
        "encoder/arcface                    7  statistics",
        "encoder/arcface/stage_1           15  trained at 0.0001, slow",
        "net                                2  trained at 0.001",
        "net/blocks                     1,100  frozen",
        "net/blocks                        13  trained at 0.001",
        "in all                         1,106  frozen",
        "in all                             7  statistics",
        "in all                            15  trained at 0.0001, slow",
        "in all                            15  trained at 0.001",
        "in all                         1,143",
    ]


def counted(function: Any, *shapes: tuple[int, ...]) -> tuple[int, float]:
    """Our count of a function's operations, and XLA's."""
    given = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    traced = jax.jit(function).trace(*given)
    return inspection.flops(traced.jaxpr.jaxpr), traced.lower().compile().cost_analysis()["flops"]


def test_matrix_products() -> None:
    ours, theirs = counted(lambda x, y: jnp.einsum("bij,bjk->bik", x, y), (5, 6, 7), (5, 7, 8))
    assert ours == theirs == 2 * 5 * 6 * 7 * 8


@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_and_their_gradients(stride: int) -> None:
    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        layout, strides = ("NHWC", "HWIO", "NHWC"), (stride, stride)
        out = jax.lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=layout)
        return jnp.sum(out**2)

    shapes = (2, 32, 32, 8), (3, 3, 8, 16)
    forward = 2 * 9 * 8 * 16 * 2 * (32 // stride) ** 2
    ours, _ = counted(loss, *shapes)
    assert ours == forward
    ours, theirs = counted(jax.grad(loss, argnums=(0, 1)), *shapes)
    assert ours == 3 * forward
    assert ours == pytest.approx(theirs, rel=0.1)  # XLA leaves the padding out


def test_a_loop_counts_each_turn_where_xla_counts_one() -> None:
    def turns(x: jax.Array, y: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda c, _: (jnp.tanh(c @ y), None), x, None, length=10)[0]

    ours, theirs = counted(turns, (4, 8), (8, 8))
    assert ours == 10 * 2 * 4 * 8 * 8
    assert theirs < ours / 5


def test_of_branches_the_dearest_counts() -> None:
    def either(x: jax.Array, y: jax.Array) -> jax.Array:
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ y @ y, lambda: x @ y)

    assert counted(either, (4, 8), (8, 8))[0] == 2 * 2 * 4 * 8 * 8


def test_a_program_spread_over_devices_counts_all_of_them() -> None:
    rows, mesh = PartitionSpec(sharding.AXES), sharding.make_mesh()
    spread = jax.shard_map(
        lambda x, y: x @ y, mesh=mesh, in_specs=(rows, PartitionSpec()), out_specs=rows
    )
    ours, of_one = counted(spread, (16, 8), (8, 8))
    assert ours == 2 * 16 * 8 * 8 == 8 * of_one

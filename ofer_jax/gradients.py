"""The gradient of a task's loss, by those params that are trained, on all rows or on a few at once.

With `microbatches` n the rows are taken in n parts, one after another, and the gradients summed up:
the memory of a step is that of a part. Part m holds the rows m, m + n, m + 2 n, ..., so that it is
made of the same examples however many devices share the batch, and no row changes its device.

What comes out is the mean over the parts. For a loss that is a mean over examples it is that of the
whole batch, to rounding; noise belongs to the example, not to the part. Two things are of the part:
BatchNorm normalises by its statistics, and its running ones take their mean over the parts in one
step; and a metric that is a ratio of means ('recovered') is a mean of the parts' ratios.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ofer_jax import optim
from ofer_jax.arrays import Array

Tree = Any


def check(batch_size: int, devices: int, microbatches: int) -> None:
    """Whether a batch splits, asked before anything is compiled.

    Raises:
      ValueError: if it does not.
    """
    if microbatches < 1:
        raise ValueError(f"optim.accumulate is {microbatches}; use 1 or more microbatches")
    if batch_size % (devices * microbatches):
        parts = f" in {microbatches} microbatches (optim.accumulate)" if microbatches > 1 else ""
        raise ValueError(
            f"input.batch_size {batch_size} does not split over {devices} devices{parts}; use a "
            f"multiple of {devices * microbatches}"
        )


def of_loss(
    loss_fn: Callable[..., Any], factors: Mapping[str, float], microbatches: int = 1
) -> Callable[..., Any]:
    """The gradient of a loss on one device's rows.

    Args:
      loss_fn: (params, batch, key, constants) -> (loss, aux), all of them means over the rows.
      factors: on the learning rate, see `optim.factors`; with 0, no gradient is worked out.
      microbatches: n.

    Returns:
      (params, batch, key, constants) -> ((loss, aux), gradients), these zero where nothing is
      trained. ValueError when it is traced with rows that do not split.
    """

    def gradient(trained: Tree, params: Tree, batch: Tree, key: Any, constants: Tree) -> Any:
        def of_trained(trained: Tree) -> Any:
            return loss_fn(_filled(trained, params), batch, key, constants)

        return jax.value_and_grad(of_trained, has_aux=True)(trained)

    def accumulated(trained: Tree, params: Tree, batch: Tree, key: Any, constants: Tree) -> Any:
        def add(total: Tree, rows: Tree) -> tuple[Tree, None]:
            found = gradient(trained, params, rows, key, constants)
            return jax.tree.map(jnp.add, total, found), None

        parts = jax.tree.map(lambda x: _split(x, microbatches), batch)
        first = jax.tree.map(lambda x: x[0], parts)
        shapes = jax.eval_shape(gradient, trained, params, first, key, constants)
        start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        total, _ = jax.lax.scan(add, start, parts)
        return jax.tree.map(lambda x: x / microbatches, total)

    def gradients(params: Tree, batch: Tree, key: Any, constants: Tree) -> Any:
        moves = optim.labels(params, factors)
        trained = jax.tree.map(lambda p, factor: p if factor else None, params, moves)
        found = gradient if microbatches == 1 else accumulated
        told, grads = found(trained, params, batch, key, constants)
        return told, _filled(grads, jax.tree.map(jnp.zeros_like, params))

    return gradients


def _split(x: Array, parts: int) -> Array:
    """[B, ...] -> [parts, B / parts, ...], row b in part b modulo parts."""
    if x.shape[0] % parts:
        raise ValueError(
            f"{x.shape[0]} rows do not split into {parts} microbatches (optim.accumulate)"
        )
    return x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)


def _filled(some: Tree, rest: Tree) -> Tree:
    """`rest`, with what `some` has that is not None in its place."""
    return jax.tree.map(lambda a, b: b if a is None else a, some, rest, is_leaf=lambda a: a is None)

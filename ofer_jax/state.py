"""The training state: a frozen pytree that the train step takes and returns.

The averaged params follow ema <- d ema + (1 - d) params, with d = min(decay, (1 + n) / (10 + n))
after n steps, so that the start does not linger. Statistics that move without a gradient (those of
BatchNorm) are averaged like the params they belong to. A run without an average has no second copy
of its params: `averaged` are then these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ofer_jax.arrays import Array, Bool, Int, Scalar

Tree = Any


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that changes from step to step."""

    step: Int[Array, ""]
    params: Tree
    ema_params: Tree  # None without an average
    opt_state: Tree

    @property
    def averaged(self) -> Tree:
        """The params to judge and to keep."""
        return self.params if self.ema_params is None else self.ema_params


def create(
    params: Tree, tx: optax.GradientTransformation, ema_decay: float | None = None
) -> TrainState:
    """State at step 0; with an `ema_decay` of 0 it keeps no average."""
    ema = None if ema_decay == 0 else jax.tree.map(jnp.copy, params)
    return TrainState(jnp.zeros((), jnp.int32), params, ema, tx.init(params))


def apply_gradients(
    state: TrainState,
    grads: Tree,
    tx: optax.GradientTransformationExtraArgs,
    ema_decay: float,
    loss: Scalar,
    moved: Tree,
) -> tuple[TrainState, dict[str, Scalar]]:
    """One step of the optimiser and of the average.

    Args:
      state: before the step.
      grads: of the params.
      tx: see `optim.make`.
      ema_decay: d.
      loss: of the step, for a schedule that watches it.
      moved: the partial params that are taken over as they are; {} for none.

    Returns:
      The state after it, and the norms of the gradient before any clipping: 'norm/grad', and of
      each part ('norm/grad/net').
    """
    updates, opt_state = tx.update(grads, state.opt_state, state.params, value=loss)
    params = overlay(optax.apply_updates(state.params, updates), moved)
    ema = state.ema_params
    if ema is not None:
        n = state.step.astype(jnp.float32)
        decay = jnp.minimum(ema_decay, (1 + n) / (10 + n))
        ema = jax.tree.map(lambda a, p: a + (1 - decay).astype(p.dtype) * (p - a), ema, params)
    after = TrainState(state.step + 1, params, ema, opt_state)
    # Without the barrier a CPU keeps the squares for Adam too, which takes longer than these norms.
    return after, norms(grad=jax.lax.optimization_barrier(grads))


def change(before: Tree, after: Tree, wanted: Bool[Array, ""]) -> dict[str, Scalar]:
    """The norms of params `before` a step, 'norm/param', and of what it did to them, 'norm/update',
    and of their parts. Where they are not `wanted` they are 0 and cost nothing: on a CPU they take
    a tenth of a step."""

    def look() -> dict[str, Scalar]:
        return norms(param=before, update=jax.tree.map(jnp.subtract, after, before))

    def leave() -> dict[str, Scalar]:
        return {name: jnp.zeros_like(norm) for name, norm in jax.eval_shape(look).items()}

    return jax.lax.cond(wanted, look, leave)


def norms(**trees: Mapping[str, Tree]) -> dict[str, Scalar]:
    """'norm/NAME' and 'norm/NAME/PART' of dicts of parts (of arrays), all Euclidean."""
    found = {}
    for name, tree in trees.items():
        parts = {part: leaves for part, leaves in tree.items() if jax.tree.leaves(leaves)}
        squares = {part: optax.tree.norm(leaves, squared=True) for part, leaves in parts.items()}
        found[f"norm/{name}"] = jnp.sqrt(sum(squares.values(), start=jnp.zeros(())))
        found |= {f"norm/{name}/{part}": jnp.sqrt(square) for part, square in squares.items()}
    return found


def overlay(tree: Tree, part: Tree, path: str = "params") -> Tree:
    """`tree`, nested dicts of arrays (or shapes), with the leaves of `part` in place of its own.

    Raises:
      ValueError: for a name that `tree` does not have (its beginning is `path`), or another shape.
    """
    if isinstance(tree, Mapping) and isinstance(part, Mapping):
        if unknown := sorted(set(part) - set(tree)):
            raise ValueError(f"{path} has no {', '.join(unknown)}, only {', '.join(sorted(tree))}")
        return {
            name: overlay(leaf, part[name], f"{path}/{name}") if name in part else leaf
            for name, leaf in tree.items()
        }
    if isinstance(tree, Mapping) or isinstance(part, Mapping) or tree.shape != part.shape:
        found, wanted = ("more arrays" if isinstance(x, Mapping) else x.shape for x in (part, tree))
        raise ValueError(f"{path} is {wanted}, and {found} was given")
    return part


def start_from(state: TrainState, pretrained: Tree) -> TrainState:
    """A fresh state with the leaves of `pretrained` (numpy arrays, a partial tree of params) as
    params and as averaged ones, each placed and typed as the leaf it takes the place of.

    Raises:
      ValueError: as `overlay`.
    """

    def place(old: jax.Array, new: Any) -> jax.Array:
        if new is old:
            return old
        values = np.array(new, old.dtype)  # a copy: the step gives its buffers away
        return jax.make_array_from_callback(old.shape, old.sharding, lambda i: values[i])

    def started(tree: Tree) -> Tree:
        return None if tree is None else jax.tree.map(place, tree, overlay(tree, pretrained))

    return replace(state, params=started(state.params), ema_params=started(state.ema_params))

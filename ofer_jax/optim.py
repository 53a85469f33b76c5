"""The optimiser: AdamW with warm-up, gradient clipping, and slow or frozen groups of params.

Weight decay falls on kernels alone (two or more dimensions). Each part of the params (encoder, net,
regressor) is clipped by its own norm, so that no part can throttle another; or all are by the norm
of all. Whatever lies under 'batch_stats' holds statistics, not weights, and never gets a step.

The schedule 'plateau' is the published one, PyTorch's ReduceLROnPlateau: all rates times 0.99 when
the training loss, averaged over an epoch, has for more than 2 epochs not been below its best by a
ten-thousandth of it. Its state is part of the optimiser's, so that a run resumes it. (PyTorch
leaves a rate alone that would change by less than 1e-8; ours goes on.)
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ofer_jax import trees

Tree = Any


def make(
    config: Mapping[str, Any], total_steps: int, frozen: Sequence[str] = ()
) -> optax.GradientTransformationExtraArgs:
    """AdamW from a config; its `update` wants the step's loss as `value`.

    Args:
      config: learning_rate; schedule ('constant', 'cosine', to zero at the end, or 'plateau');
        warmup_steps, of any schedule; epoch_steps (for 'plateau'); weight_decay; b1; b2; clip (0:
        none); clip_by ('part' or 'global'); groups: a mapping regex -> factor on the learning rate,
        by the param's path ('encoder/...'), 0 freezes; of several that fit the last counts.
      total_steps: length of the cosine.
      frozen: regexes of whole paths, or of their beginnings, of what is never trained.

    Raises:
      ValueError: for an unknown schedule or `clip_by`, or 'plateau' without `epoch_steps`.
    """
    by_path = factors(config, frozen)
    steps: dict[Hashable, optax.GradientTransformation] = {
        f: _adamw(config, total_steps, f) for f in {0.0, 1.0, *by_path.values()}
    }
    clip = clipping(config.get("clip", 0.0), config.get("clip_by", "part"))
    grouped = optax.partition(steps, lambda params: labels(params, by_path))
    if config["schedule"] != "plateau":
        return optax.chain(clip, grouped)
    return optax.chain(clip, grouped, plateau(config.get("epoch_steps", 0)))


def plateau(
    epoch_steps: int, factor: float = 0.99, patience: int = 2
) -> optax.GradientTransformationExtraArgs:
    """Scales updates as ReduceLROnPlateau would the rate, by the mean `value` of `epoch_steps`
    steps; what an epoch's end decides holds from the next step on.

    Raises:
      ValueError: if `epoch_steps` is not positive.
    """
    if epoch_steps < 1:
        raise ValueError(
            "optim.epoch_steps, the training steps an epoch, must be set for optim.schedule "
            f"'plateau'; it is {epoch_steps}"
        )
    # Optax acts at the `patience`-th bad epoch, PyTorch at the one after it.
    watch = optax.contrib.reduce_on_plateau(
        factor, patience + 1, rtol=1e-4, accumulation_size=epoch_steps
    )

    def update(updates: Tree, state: Any, params: Tree = None, **extra: Any) -> tuple[Tree, Any]:
        scaled = jax.tree.map(lambda u: state.scale * u, updates)
        return scaled, watch.update(updates, state, params, **extra)[1]

    return optax.GradientTransformationExtraArgs(watch.init, update)


def _adamw(
    config: Mapping[str, Any], total_steps: int, factor: float
) -> optax.GradientTransformation:
    if factor == 0:
        return optax.set_to_zero()
    rate = learning_rate(config, total_steps)
    return optax.adamw(
        lambda n: factor * rate(n),
        b1=config.get("b1", 0.9),
        b2=config.get("b2", 0.999),
        weight_decay=config.get("weight_decay", 0.0),
        mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
    )


def learning_rate(config: Mapping[str, Any], total_steps: int) -> optax.Schedule:
    """Linear warm-up, then a constant ('plateau' scales what comes of it) or a cosine to zero."""
    peak, warmup, kind = config["learning_rate"], config.get("warmup_steps", 0), config["schedule"]
    if kind in ("constant", "plateau"):
        after = optax.constant_schedule(peak)
    elif kind == "cosine":
        after = optax.cosine_decay_schedule(peak, max(1, total_steps - warmup))
    else:
        raise ValueError(f"optim.schedule is {kind!r}; use 'constant', 'cosine' or 'plateau'")
    if not warmup:
        return after
    ramp = optax.linear_schedule(peak / warmup, peak, warmup)
    return optax.join_schedules([ramp, after], [warmup])


def factors(config: Mapping[str, Any], frozen: Sequence[str]) -> dict[str, float]:
    """The config's groups and what is frozen: regex -> factor on the learning rate."""
    return {**dict(config.get("groups", {})), **{rf"^{name}(/|$)": 0.0 for name in frozen}}


def labels(params: Tree, factors: Mapping[str, float]) -> Tree:
    """The learning-rate factor of each param: 0 under 'batch_stats', else that of the last regex
    that finds its path, else 1.

    Raises:
      ValueError: for a regex that finds none.
    """
    paths = [path for path, _ in trees.named(params)]
    for pattern in factors:
        if not any(re.search(pattern, path) for path in paths):
            raise ValueError(f"optim.groups: {pattern!r} finds none of {', '.join(paths[:4])}, ...")

    def label(path: str, _: Any) -> float:
        if "batch_stats" in path.split("/"):
            return 0.0
        found = [f for pattern, f in factors.items() if re.search(pattern, path)]
        return found[-1] if found else 1.0

    return trees.map_named(label, params)


def clipping(max_norm: float, by: str = "part") -> optax.GradientTransformation:
    """Clip each top-level entry of the params' dict by its own norm ('part'), or all by the norm of
    all ('global'; Pascanu et al., ICML 2013). 0: not at all.

    Raises:
      ValueError: for another `by`.
    """
    if by not in ("part", "global"):
        raise ValueError(f"optim.clip_by is {by!r}; use 'part' or 'global'")
    if not max_norm:
        return optax.identity()

    def update(updates: Tree, state: Any, params: Tree = None) -> tuple[Tree, Any]:
        if by == "global":
            return _clip(updates, max_norm), state
        return {name: _clip(part, max_norm) for name, part in updates.items()}, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _clip(grads: Tree, max_norm: float) -> Tree:
    if not jax.tree.leaves(grads):
        return grads
    scale = jnp.minimum(1.0, max_norm / jnp.maximum(optax.tree.norm(grads), 1e-12))
    return jax.tree.map(lambda g: g * scale.astype(g.dtype), grads)

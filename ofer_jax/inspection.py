"""What a training step is made of, told before it runs: its parameters, and its operations."""

import math
import re
from typing import Any

import jax
from jax.extend import core

from ofer_jax import trees

Tree = Any


# ---------------------------------------------------------------- parameters


def table(params: Tree, factors: Tree, rate: float) -> str:
    """The parameters of each module, by how they learn, and in all; to be printed.

    Args:
      params: arrays or shapes, nested dicts.
      factors: on the learning rate, one for each (`optim.labels`).
      rate: the learning rate.
    """
    sizes: dict[tuple[str, str], int] = {}
    totals: dict[str, int] = {}
    for (name, leaf), factor in zip(trees.named(params), jax.tree.leaves(factors), strict=True):
        names = name.split("/")
        how = "statistics" if "batch_stats" in names else _how(factor, rate)
        row = _module(names), how
        sizes[row] = sizes.get(row, 0) + leaf.size
        totals[how] = totals.get(how, 0) + leaf.size
    lines = [(module, size, how) for (module, how), size in sizes.items()]
    lines += [("in all", size, how) for how, size in totals.items()]
    lines += [("in all", sum(totals.values()), "")] if len(totals) > 1 else []
    width = max(len(module) for module, *_ in lines)
    return "\n".join(f"{name:<{width}}  {size:>11,}  {how}".rstrip() for name, size, how in lines)


def _how(factor: float, rate: float) -> str:
    if factor == 0:
        return "frozen"
    pace = "" if factor == 1 else ", slow" if factor < 1 else ", fast"
    return f"trained at {factor * rate:g}{pace}"


def _module(names: list[str]) -> str:
    """Modules with a number at the end of their name are one; what an encoder is made of is told,
    and of the others their first parts."""
    inner = [name for name in names if name not in ("params", "batch_stats")]
    if "batch_stats" in names:
        return "/".join(inner[:2])
    depth = 3 if inner[0] == "encoder" else 2
    kept = inner[: min(depth, max(1, len(inner) - 1))]
    return "/".join([*kept[:-1], re.sub(r"_\d+$", "", kept[-1])])


# ---------------------------------------------------------------- operations


def flops(jaxpr: core.Jaxpr) -> int:
    """Floating-point operations of the matrix products and convolutions of a program, over all
    devices: two for each product that is summed. What a loop repeats counts each time, where XLA's
    own analysis counts it once; of the branches of a condition the dearest counts, and a loop
    without a known end as once.
    """
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            total += _dot(eqn)
        elif eqn.primitive.name == "conv_general_dilated":
            total += _convolution(eqn)
        inner = [flops(sub) for sub in core.jaxprs_in_params(eqn.params)]
        if eqn.primitive.name == "cond":
            total += max(inner)
        else:
            total += _times(eqn) * sum(inner)
    return total


def _times(eqn: Any) -> int:
    """How often an equation runs what is in it."""
    if eqn.primitive.name == "scan":
        return eqn.params["length"]
    if eqn.primitive.name == "shard_map":  # shapes in it are those of one device
        return eqn.params["mesh"].size
    return 1


def _dot(eqn: Any) -> int:
    (contracted, _), _ = eqn.params["dimension_numbers"]
    left = eqn.invars[0].aval.shape
    return 2 * eqn.outvars[0].aval.size * math.prod(left[axis] for axis in contracted)


def _convolution(eqn: Any) -> int:
    """A dilated input has zeros in between, which are no work."""
    kernel = eqn.invars[1].aval
    outputs = kernel.shape[eqn.params["dimension_numbers"].rhs_spec[0]]
    zeros = math.prod(eqn.params["lhs_dilation"])
    return 2 * eqn.outvars[0].aval.size * (kernel.size // outputs) // zeros

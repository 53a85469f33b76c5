"""Arrays that stand in several places of a tree, held and passed to a program once.

The published training leaves most of ArcFace as it was, so three networks hold the same arrays.
Passed as one argument they are one value to the compiler, which then does the work on them once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

_SAMPLE = 64  # values of an array that are looked at before all of them


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Once:
    """A tree as its different leaves, the number of the leaf in each place, and its structure."""

    leaves: tuple[Any, ...]
    places: tuple[int, ...]
    structure: Any

    @classmethod
    def of(cls, tree: Any) -> Once:
        """A tree of NumPy's or JAX's arrays, equal ones as one."""
        given, structure = jax.tree.flatten(tree)
        leaves: list[Any] = []
        alike: dict[Any, list[int]] = {}  # numbers of the leaves with such a look
        places = []
        for leaf in given:
            numbers = alike.setdefault(_look(leaf), [])
            equal = (n for n in numbers if leaves[n] is leaf or np.array_equal(leaves[n], leaf))
            number = next(equal, len(leaves))
            if number == len(leaves):
                numbers.append(number)
                leaves.append(leaf)
            places.append(number)
        return cls(tuple(leaves), tuple(places), structure)

    @property
    def tree(self) -> Any:
        """As it was given; what was equal is now one object."""
        return self.structure.unflatten([self.leaves[n] for n in self.places])

    def tree_flatten(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """For JAX."""
        return self.leaves, (self.places, self.structure)

    @classmethod
    def tree_unflatten(cls, rest: tuple[Any, ...], leaves: tuple[Any, ...]) -> Once:
        """For JAX."""
        return cls(tuple(leaves), *rest)


def _look(leaf: Any) -> tuple[Any, ...]:
    """What equal arrays have in common, cheap to see."""
    values = np.asarray(leaf)
    sample = values.reshape(-1)[:: max(1, values.size // _SAMPLE)]
    return values.shape, str(values.dtype), sample.tobytes()

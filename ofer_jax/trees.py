"""Leaves of a tree by name: the keys on the way to it, as 'net/dense/kernel'."""

from collections.abc import Callable
from typing import Any

import jax

Tree = Any


def named(tree: Tree) -> list[tuple[str, Any]]:
    """(name, leaf) of each leaf, in JAX's order."""
    return [(_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def map_named(function: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """`jax.tree.map` of a function that is given a leaf's name first."""
    return jax.tree_util.tree_map_with_path(lambda p, *x: function(_name(p), *x), tree, *rest)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")

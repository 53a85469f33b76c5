"""Where arrays live: a mesh of axes (data, fsdp), and rules (regex, spec) for the state.

A spec is 'replicate', 'fsdp' (the largest dimension that the axis divides; a param with none stays
whole) or a list of axis names and None, one for each dimension. The first rule whose regex finds
the path decides. Batches are split over both axes.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Tree = Any
Rules = Sequence[tuple[str, str | Sequence[str | None]]]
REPLICATE: Rules = ((".*", "replicate"),)
FSDP: Rules = (("kernel$", "fsdp"), (".*", "replicate"))


def make_mesh(data: int = -1, fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh over all devices of all processes (or `devices`); `data` -1 takes what `fsdp` leaves.

    Raises:
      ValueError: if the sizes do not make up the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    count = len(devices)
    data = count // fsdp if data == -1 else data
    if data * fsdp != count:
        raise ValueError(f"mesh: data {data} x fsdp {fsdp} is not the number of devices, {count}")
    # Explicit axes, the default of make_mesh, refuse plain indexing of tables.
    types = (AxisType.Auto,) * 2
    return jax.make_mesh((data, fsdp), ("data", "fsdp"), axis_types=types, devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def of_batch(mesh: Mesh) -> NamedSharding:
    """The first axis split over all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def of_tree(tree: Tree, mesh: Mesh, rules: Rules) -> Tree:
    """A sharding for each leaf (of arrays or shapes), by `rules`.

    Raises:
      ValueError: for a rule that finds nothing, or a path that no rule finds.
    """
    paths = jax.tree_util.tree_leaves_with_path(tree)
    names = [_name(path) for path, _ in paths]
    for pattern, _ in rules:
        if not any(re.search(pattern, name) for name in names):
            raise ValueError(f"sharding rule {pattern!r} finds none of {len(names)} arrays")

    def one(path: Any, leaf: Any) -> NamedSharding:
        for pattern, spec in rules:
            if re.search(pattern, _name(path)):
                return NamedSharding(mesh, _spec(spec, leaf.shape, mesh.shape["fsdp"]))
        raise ValueError(f"no sharding rule finds {_name(path)!r}; end the rules with '.*'")

    return jax.tree_util.tree_map_with_path(one, tree)


def _spec(spec: str | Sequence[str | None], shape: tuple[int, ...], fsdp: int) -> PartitionSpec:
    if spec == "replicate":
        return PartitionSpec()
    if spec != "fsdp":
        return PartitionSpec(*spec)
    fitting = [(size, axis) for axis, size in enumerate(shape) if size % fsdp == 0]
    if not fitting:
        return PartitionSpec()
    axis = max(fitting)[1]
    return PartitionSpec(*("fsdp" if i == axis else None for i in range(len(shape))))


def whole(tree: Tree, shardings: Tree) -> list[str]:
    """Paths of matrices that every device holds whole, to be listed when fsdp is asked for."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [
        _name(path)
        for (path, leaf), s in zip(leaves, jax.tree.leaves(shardings), strict=True)
        if leaf.ndim > 1 and s.is_fully_replicated
    ]


def put_batch(batch: Tree, sharding: NamedSharding) -> Tree:
    """This process's rows of a batch, as part of the global arrays (64-bit integers as 32)."""
    put = jax.make_array_from_process_local_data
    return jax.tree.map(lambda rows: put(sharding, _narrow(rows)), batch)


def put_global(tree: Tree, sharding: NamedSharding) -> Tree:
    """Arrays that every process holds in full, spread by `sharding`."""

    def put(x: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(x.shape, sharding, lambda i: x[i])

    return jax.tree.map(lambda x: put(_narrow(np.asarray(x))), tree)


def _narrow(x: np.ndarray) -> np.ndarray:
    return x.astype(np.uint32) if x.dtype in (np.int64, np.uint64) else x


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")

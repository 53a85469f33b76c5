"""Where arrays live: a mesh of axes (data, fsdp), and rules (regex, spec) for the state.

`mode` chooses: 'data', every device holds the whole state; 'fsdp', each holds its part of every
matrix of params, of the optimizer's moments and of the averages, and a param is whole only within a
step, from its first use to its last (Rajbhandari et al., "ZeRO", SC 2020; Zhao et al., "PyTorch
FSDP", VLDB 2023); 'both', groups of `fsdp` devices that hold the state together, `data` of them.

A spec is 'replicate', 'fsdp' (the largest dimension that the axis divides; a vector, or a matrix
with none, stays whole) or a list with an axis, several or None for each dimension. The first rule
whose regex finds the path decides. Batches are split over both axes.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ofer_jax import optim, trees

Tree = Any
Spec = str | Sequence[str | Sequence[str] | None]
Rules = Sequence[tuple[str, Spec]]
REPLICATE: Rules = ((".*", "replicate"),)
FSDP: Rules = ((".*", "fsdp"),)
MODES = {"data": REPLICATE, "fsdp": FSDP, "both": FSDP}
AXES = ("data", "fsdp")


def mesh_of(config: Mapping[str, Any]) -> Mesh:
    """The mesh over all devices of all processes that a config's `mesh` asks for.

    Args:
      config: mode; data and fsdp, the axes' sizes, of which -1 takes what the other leaves. For
        'both' and two -1 a group is the devices of one process.

    Raises:
      ValueError: for an unknown mode, or sizes that do not fit it or the number of devices.
    """
    mode, sizes = config["mode"], {name: config[name] for name in AXES}
    if mode not in MODES:
        raise ValueError(f"mesh.mode is {mode!r}; use {', '.join(map(repr, MODES))}")
    unused = {"data": "fsdp", "fsdp": "data"}.get(mode)
    if unused and sizes[unused] not in (-1, 1):
        raise ValueError(
            f"mesh.{unused} is {sizes[unused]}, but mesh.mode is {mode!r}; leave it at -1, or set "
            "mesh.mode to 'both'"
        )
    if unused:
        sizes[unused] = 1
    elif sizes == {"data": -1, "fsdp": -1}:
        sizes["fsdp"] = jax.local_device_count()
    return make_mesh(**sizes)


def rules_of(config: Mapping[str, Any]) -> Rules:
    """The rules of a config's `mesh`: its own, or else those of its mode."""
    return config["rules"] or MODES[config["mode"]]


def make_mesh(data: int = -1, fsdp: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh over all devices of all processes (or `devices`); -1 takes what the other leaves.

    Raises:
      ValueError: if the sizes do not make up the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    count = len(devices)
    if not all(size == -1 or size > 0 for size in (data, fsdp)):
        raise ValueError(f"mesh: data {data} and fsdp {fsdp} must be -1 or positive")
    fsdp = max(1, count // data) if fsdp == -1 else fsdp
    data = count // fsdp if data == -1 else data
    if data * fsdp != count:
        raise ValueError(f"mesh: data {data} x fsdp {fsdp} is not the number of devices, {count}")
    # Explicit axes, the default of make_mesh, refuse plain indexing of tables.
    types = (AxisType.Auto,) * 2
    return jax.make_mesh((data, fsdp), AXES, axis_types=types, devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def of_batch(mesh: Mesh) -> NamedSharding:
    """The first axis split over all devices."""
    return NamedSharding(mesh, PartitionSpec(AXES))


def of_tree(tree: Tree, mesh: Mesh, rules: Rules) -> Tree:
    """A sharding for each leaf (of arrays or shapes), by `rules`.

    Raises:
      ValueError: for a rule that finds nothing, or a path that no rule finds.
    """
    names = [name for name, _ in trees.named(tree)]
    for pattern, _ in rules:
        if not any(re.search(pattern, name) for name in names):
            raise ValueError(f"sharding rule {pattern!r} finds none of {len(names)} arrays")

    def one(name: str, leaf: Any) -> NamedSharding:
        for pattern, spec in rules:
            if re.search(pattern, name):
                return NamedSharding(mesh, _spec(spec, leaf.shape, mesh.shape["fsdp"]))
        raise ValueError(f"no sharding rule finds {name!r}; end the rules with '.*'")

    return trees.map_named(one, tree)


def _spec(spec: Spec, shape: tuple[int, ...], fsdp: int) -> PartitionSpec:
    if spec == "replicate":
        return PartitionSpec()
    if spec != "fsdp":
        return PartitionSpec(*spec)
    fitting = [(size, axis) for axis, size in enumerate(shape) if size % fsdp == 0]
    if fsdp == 1 or len(shape) < 2 or not fitting:
        return PartitionSpec()
    axis = max(fitting)[1]
    return PartitionSpec(*("fsdp" if i == axis else None for i in range(len(shape))))


def whole(tree: Tree, shardings: Tree) -> list[str]:
    """Paths of matrices that every device holds whole, to be listed when fsdp is asked for."""
    return [
        name
        for (name, leaf), s in zip(trees.named(tree), jax.tree.leaves(shardings), strict=True)
        if leaf.ndim > 1 and s.is_fully_replicated
    ]


def bytes_of(tree: Tree) -> tuple[int, int]:
    """(bytes of a tree of arrays or of shapes with shardings, bytes of it on each device)."""
    leaves = [(x, x.dtype.itemsize) for x in jax.tree.leaves(tree)]
    held = sum(math.prod(x.sharding.shard_shape(x.shape)) * size for x, size in leaves)
    return sum(x.size * size for x, size in leaves), held


def told(state: Any) -> str:
    """What each device holds of a training state (shapes with shardings), and which matrices of
    its params stay whole, to be printed at the start of a run."""
    params = state.params
    mesh = jax.tree.leaves(params)[0].sharding.mesh
    total, held = bytes_of(state)
    devices = " x ".join(f"{name} {size}" for name, size in mesh.shape.items())
    lines = [f"mesh {devices}: {held / 1e6:,.1f} of {total / 1e6:,.1f} MB of state a device"]
    if mesh.shape["fsdp"] > 1:
        names = whole(params, jax.tree.map(lambda x: x.sharding, params))
        lines += [f"whole on every device: {', '.join(names) or 'no matrix'}"]
    return "\n".join(lines)


def spread(
    gradients: Callable[..., Any], layout: Tree | None, factors: Mapping[str, float] | None = None
) -> Callable[..., Any]:
    """A function of params and a batch, made to run on params and rows that lie on a mesh.

    Each device gathers the params, runs the function on its own rows of the batch, and all average
    what comes out: each gradient where its param lies (a reduce-scatter of what is split), the
    rest on every device (an all-reduce). Activations never leave their device. So the function has
    to return means over the rows; what is no mean over rows is made of those of `across`.

    Args:
      gradients: (params, batch, key, constants) -> ((loss, aux), gradients), as
        `jax.value_and_grad(loss_fn, has_aux=True)`.
      layout: a sharding for each of the params; None for one device.
      factors: on the learning rate, see `optim.factors`; with 0, no gradient is sent.

    Returns:
      The same function of global arrays, to be jitted.
    """
    mesh = None if layout is None else jax.tree.leaves(layout)[0].mesh
    if mesh is None or mesh.size == 1:
        return gradients
    everywhere, rows = PartitionSpec(), PartitionSpec(AXES)
    specs = jax.tree.map(lambda sharding: sharding.spec, layout)

    def average(x: Array, spec: PartitionSpec) -> Array:
        used = [(axis, name) for axis, name in enumerate(spec) if name is not None]
        for axis, name in used:
            x = jax.lax.psum_scatter(x, name, scatter_dimension=axis, tiled=True)
        over = {name for _, names in used for name in _names(names)}
        rest = tuple(name for name in AXES if name not in over and mesh.shape[name] > 1)
        return (jax.lax.psum(x, rest) if rest else x) / mesh.size

    def of_device(params: Tree, batch: Tree, key: Any, constants: Tree) -> Any:
        told, grads = gradients(jax.tree.map(_gather, params, specs), batch, key, constants)

        def settle(factor: float, grad: Array, param: Array, spec: PartitionSpec) -> Array:
            return average(grad, spec) if factor else jnp.zeros_like(param)

        grads = jax.tree.map(settle, optim.labels(params, factors or {}), grads, params, specs)
        return jax.tree.map(lambda x: average(x, everywhere), told), grads

    return jax.shard_map(
        of_device,
        mesh=mesh,
        in_specs=(specs, rows, everywhere, everywhere),
        out_specs=(everywhere, specs),
        check_vma=False,  # a scan in a loss would have to mark its first values as of one device
    )


def gathered(tree: Tree, mesh: Mesh) -> Tree:
    """Within a jitted function: `tree` whole on every device, however it came."""
    return jax.lax.with_sharding_constraint(tree, replicated(mesh))


def _names(axis: str | Sequence[str]) -> Sequence[str]:
    return (axis,) if isinstance(axis, str) else axis


def _gather(x: Array, spec: PartitionSpec) -> Array:
    """The whole of an array from each device's part."""
    for axis, name in enumerate(spec):
        if name is not None:
            x = jax.lax.all_gather(x, name, axis=axis, tiled=True)
    return x


def put_batch(batch: Tree, sharding: NamedSharding) -> Tree:
    """This process's rows of a batch, as part of the global arrays (64-bit integers as 32)."""
    put = jax.make_array_from_process_local_data
    return jax.tree.map(lambda rows: put(sharding, _narrow(rows)), batch)


def put_global(tree: Tree, sharding: NamedSharding) -> Tree:
    """Arrays that every process holds in full, spread by `sharding`."""

    def put(x: np.ndarray) -> Array:
        return jax.make_array_from_callback(x.shape, sharding, lambda i: x[i])

    return jax.tree.map(lambda x: put(_narrow(np.asarray(x))), tree)


def _narrow(x: np.ndarray) -> np.ndarray:
    return x.astype(np.uint32) if x.dtype in (np.int64, np.uint64) else x

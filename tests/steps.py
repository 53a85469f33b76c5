"""Some steps of what `train` compiles on toy data, in any number of processes and precision."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

from ofer_jax import sharding, train
from tests import toy


def run(
    task: str, mode: str | None, steps: int, dtype: Any, pictures: bool = False
) -> tuple[Any, np.ndarray]:
    """(state, losses) after `steps` steps, all from the same start; on all devices of all processes
    in a mode, or on one device."""
    config, constants = configured(task, pictures), toy.constants(task)
    place = (jax.process_index(), jax.process_count())
    batches = toy.Batches(config.input.batch_size, *place, pictures=pictures)
    fresh = start(task, pictures)
    with on_mesh(config, mode):
        program = train.program(config, constants)
    by_batch, everywhere = sharding.of_batch(program.mesh), sharding.replicated(program.mesh)
    now, losses = put(as_dtype(fresh, dtype), program.abstract), []
    held = sharding.put_global(as_dtype(constants, dtype), everywhere)
    for _ in range(steps):
        batch = sharding.put_batch(as_dtype(next(batches), dtype), by_batch)
        now, metrics = program.step(now, batch, jax.random.key(0), held)
        losses.append(float(metrics["loss"]))
    now = jax.jit(lambda state: sharding.gathered(state, program.mesh))(now)
    return jax.device_get(now), np.array(losses)


@functools.cache
def start(task: str, pictures: bool = False) -> Any:
    """The first state, the same for every mesh: made on one device."""
    config, constants = configured(task, pictures), toy.constants(task)
    with jax.enable_x64(False), on_mesh(config, None):
        program = train.program(config, constants)
        return jax.device_get(program.start(jax.random.key(1), constants))


def configured(task: str, pictures: bool = False) -> Any:
    return (toy.picture_training if pictures else toy.config)(task, 50)


@contextlib.contextmanager
def on_mesh(config: Any, mode: str | None) -> Iterator[None]:
    """`config` in a mode on all devices ('both': two groups); or with None on one device."""
    with pytest.MonkeyPatch.context() as patch:
        if mode is None:
            mesh = sharding.make_mesh(devices=jax.local_devices()[:1])
            patch.setattr(sharding, "mesh_of", lambda _: mesh)
        else:
            config.mesh.update({"mode": mode, "data": 2 if mode == "both" else -1})
        yield


def put(tree: Any, like: Any) -> Any:
    """Host arrays on the devices of all processes, each as its shape in `like` says."""

    def one(x: np.ndarray, shape: jax.ShapeDtypeStruct) -> jax.Array:
        return jax.make_array_from_callback(x.shape, shape.sharding, lambda i: x[i])

    return jax.tree.map(one, tree, like)


def as_dtype(tree: Any, dtype: Any) -> Any:
    """Numpy arrays, with floats of another precision."""

    def cast(x: Any) -> np.ndarray:
        x = np.asarray(x)
        return x.astype(dtype) if np.issubdtype(x.dtype, np.floating) else x

    return jax.tree.map(cast, tree)


def assert_close(a: Any, b: Any, relative: float) -> None:
    """Every array, by the largest of its values."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=relative, atol=relative * (1 + np.abs(x).max()))

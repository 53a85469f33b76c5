"""Checkpoints by Orbax v1: WORKDIR/checkpoints/STEP with the state and the data iterator together,
and WORKDIR/best/STEP with the best averaged params so far. Each is written beside and renamed.

The iterator's position is one small file a process. Restored onto another number of processes, the
position is derived from the step: one batch a step, as our input counts them.
"""

import json
import logging
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

Tree = Any


class _Position:
    """A data iterator as Orbax's StatefulCheckpointable (get_state and set_state to a file)."""

    def __init__(self, iterator: Any, step: int) -> None:
        self.iterator, self.step = iterator, step
        self.name = f"process_{jax.process_index()}-of-{jax.process_count()}.json"

    async def save(self, directory: Any) -> Awaitable[None]:
        text = json.dumps(self.iterator.get_state())

        async def write() -> None:
            folder = await directory.await_creation()
            (folder / self.name).write_text(text)

        return write()

    async def load(self, directory: Any) -> Awaitable[None]:
        async def read() -> None:
            path = directory / self.name
            found = json.loads(path.read_text()) if path.exists() else {"next_index": self.step}
            self.iterator.set_state(found)

        return read()


class Checkpoints:
    """The checkpoints of a working directory; a context manager."""

    def __init__(self, workdir: str | Path, keep: int = 2) -> None:
        logging.getLogger("absl").setLevel(logging.WARNING)  # Orbax tells of every file otherwise
        newest = ocp.training.preservation_policies.LatestN
        root = Path(workdir).resolve()
        self._states = ocp.training.Checkpointer(
            root / "checkpoints", preservation_policy=newest(keep), cleanup_tmp_directories=True
        )
        self._best = ocp.training.Checkpointer(
            root / "best", preservation_policy=newest(1), cleanup_tmp_directories=True
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._states.close()
        self._best.close()

    @property
    def latest(self) -> int | None:
        """The newest step saved, or None."""
        found = self._states.latest
        return None if found is None else found.step

    def save(self, step: int, state: Tree, iterator: Any) -> None:
        """Save the state after `step` steps and the iterator that has given `step` batches."""
        parts = {"state": state, "data": _Position(iterator, step)}
        self._states.save_checkpointables(step, parts, force=True, overwrite=True)

    def restore(self, abstract_state: Tree, iterator: Any) -> Tree:
        """The newest state, laid out as `abstract_state` says (shapes with shardings; any mesh);
        `iterator` is moved to its position."""
        if self.latest is None:
            raise ValueError("there is no checkpoint to restore")
        parts = {"state": abstract_state, "data": _Position(iterator, self.latest)}
        return self._states.load_checkpointables(self.latest, parts)["state"]

    def save_best(self, step: int, best: Tree) -> None:
        """Replace the best by `best` (arrays)."""
        self._best.save_checkpointables(step, {"best": best}, force=True, overwrite=True)

    def load_best(self, abstract: Tree) -> Tree | None:
        """The best so far, laid out as `abstract`, or None."""
        if self._best.latest is None:
            return None
        return self._best.load_checkpointables(self._best.latest, {"best": abstract})["best"]


def exists(workdir: str | Path) -> bool:
    """Whether a run in `workdir` has a checkpoint to go on from."""
    return any(path.name.isdigit() for path in (Path(workdir) / "checkpoints").glob("*"))


def read_best(workdir: str | Path, abstract: Tree) -> Tree:
    """The best of a finished run as numpy arrays, for the conversion to a bundle.

    Raises:
      ValueError: if the folder holds none.
    """
    if not (Path(workdir) / "best").is_dir():
        raise ValueError(f"{workdir} holds no best/; train there first (python -m launch.train)")
    # Whole on one device of each process: an array that a process has no part of cannot be read.
    first = {device.process_index: device for device in reversed(jax.devices())}
    mesh = jax.sharding.Mesh(list(first.values()), "process")
    one = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=one), abstract)
    with Checkpoints(workdir) as checkpoints:
        best = checkpoints.load_best(target)
    if best is None:
        raise ValueError(f"{workdir}/best is empty; let the training reach its first evaluation")
    return jax.tree.map(np.asarray, best)

"""Checkpoints by Orbax v1: WORKDIR/checkpoints/STEP with the state and the data iterator together,
and WORKDIR/best/NUMBER with the best averaged params so far. Each is written beside, renamed and
sealed in the background: a save only waits until the arrays have left the device.

The iterator's position is one small file a process. Restored onto another number of processes, the
position is derived from the step: one batch a step, as our input counts them.

A checkpoint that cannot be read is moved to WORKDIR/damaged, and the one before it is used; if none
can be read, nothing is moved and it is an error.
"""

import functools
import hashlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from ofer_jax import seals

Tree = Any
MOST = 64  # checkpoints that are looked at


class _Position:
    """A data iterator as Orbax's StatefulCheckpointable (get_state and set_state to a file)."""

    def __init__(self, iterator: Any, step: int) -> None:
        self.iterator, self.step = iterator, step
        self.name = f"process_{jax.process_index()}-of-{jax.process_count()}.json"

    async def save(self, directory: Any) -> Awaitable[None]:
        text = json.dumps(self.iterator.get_state())  # now: the iterator goes on meanwhile

        async def write() -> None:
            folder = await directory.await_creation()
            (folder / self.name).write_text(text)

        return write()

    async def load(self, directory: Any) -> Awaitable[None]:
        async def read() -> None:
            path, expected = directory / self.name, {"next_index": self.step}
            found = json.loads(path.read_text()) if path.exists() else expected
            if found != expected:
                raise ValueError(f"the position in the data is {found}, not {expected}")
            self.iterator.set_state(found)

        return read()


class _Saver:
    """Orbax's writer of one folder of checkpoints, made at the first save."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.pool = futures.ThreadPoolExecutor(1)
        self.writing: futures.Future[None] | None = None

    @functools.cached_property
    def orbax(self) -> Any:
        newest = ocp.training.preservation_policies.LatestN(self.keep)
        return ocp.training.Checkpointer(
            self.folder, preservation_policy=newest, cleanup_tmp_directories=True
        )

    def start(self, number: int, parts: dict[str, Any]) -> None:
        """Write a checkpoint in the background, after the one before."""
        self.wait()
        response = self.orbax.save_checkpointables_async(number, parts, force=True, overwrite=True)

        def finish() -> None:
            response.result()
            if jax.process_index() == 0:
                seals.seal(self.folder / str(number))

        self.writing = self.pool.submit(finish)

    def wait(self) -> None:
        """Wait until what was started counts; raises what kept it from being written."""
        writing, self.writing = self.writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Wait, and write no more."""
        try:
            self.wait()
        finally:
            self.pool.shutdown()
            if "orbax" in vars(self):
                self.orbax.close()


class Checkpoints:
    """The checkpoints of a working directory; a context manager. Restore before you save."""

    def __init__(self, workdir: str | Path, keep: int = 2) -> None:
        self._root = Path(workdir).resolve()
        self._states = _Saver(self._root / "checkpoints", keep)
        self._best = _Saver(self._root / "best", 2)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._best.close()
        finally:
            self._states.close()

    def save(self, step: int, state: Tree, iterator: Any) -> None:
        """Save the state after `step` steps and the iterator that has given `step` batches."""
        self._best.wait()  # a checkpoint must not count before the best of its time does
        self._states.start(step, {"state": state, "data": _Position(iterator, step)})

    def restore(self, abstract_state: Tree, iterator: Any) -> Tree | None:
        """The newest state that can be read, laid out as `abstract_state` says (shapes with
        shardings; any mesh), with `iterator` moved to its position; None if there is none at all.

        Raises:
          ValueError: if there are some, and none can be read.
        """

        def load(path: Path) -> Tree:
            parts = {"state": abstract_state, "data": _Position(iterator, int(path.name))}
            return _load(path, parts)["state"]

        return _newest(self._states.folder, load, self._root / "damaged")

    def save_best(self, best: Tree) -> None:
        """Replace the best by `best` (arrays)."""
        # One write at a time: all processes have to do them in the same order.
        self._states.wait()
        self._best.wait()
        # Numbered: a run that fell back may find a better one at an earlier step than the last.
        newest, *_ = *_of_first(_steps(self._best.folder)), 0
        self._best.start(newest + 1, {"best": best})

    def load_best(self, abstract: Tree) -> Tree | None:
        """The best so far, laid out as `abstract`, or None.

        Raises:
          ValueError: if it is there and cannot be read.
        """
        return _newest(self._best.folder, _best_loader(abstract), self._root / "damaged")


def exists(workdir: str | Path) -> bool:
    """Whether a run in `workdir` has a checkpoint to go on from."""
    return bool(_steps(Path(workdir) / "checkpoints"))


def read_best(workdir: str | Path, abstract: Tree) -> Tree:
    """The best of a finished run as numpy arrays, for the conversion to a bundle.

    Raises:
      ValueError: if the folder holds none, or it cannot be read.
    """
    folder = Path(workdir).resolve() / "best"
    if not folder.is_dir():
        raise ValueError(f"{workdir} holds no best/; train there first (python -m launch.train)")
    # Whole on one device of each process: an array that a process has no part of cannot be read.
    first = {device.process_index: device for device in reversed(jax.devices())}
    mesh = jax.sharding.Mesh(list(first.values()), "process")
    one = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=one), abstract)
    best = _newest(folder, _best_loader(target))
    if best is None:
        raise ValueError(f"{workdir}/best is empty; let the training reach its first evaluation")
    return jax.tree.map(np.asarray, best)


def digest(folder: str | Path) -> str:
    """SHA-256 of all arrays of the newest checkpoint in a folder (checkpoints/ or best/).

    Raises:
      ValueError: if there is none, or none can be read.
    """

    def load(path: Path) -> Tree:
        names = {"state", "best"} & {inner.name for inner in path.iterdir()}
        with warnings.catch_warnings(action="ignore"):  # that nothing says how to lay it out
            return jax.device_get(ocp.load_checkpointables(path, dict.fromkeys(names)))

    tree, found = _newest(Path(folder).resolve(), load), hashlib.sha256()
    if tree is None:
        raise ValueError(f"there is no checkpoint in {folder}")
    for place, leaf in jax.tree_util.tree_leaves_with_path(tree):
        found.update(f"{jax.tree_util.keystr(place)} {leaf.dtype} {leaf.shape}".encode())
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()


def _best_loader(abstract: Tree) -> Callable[[Path], Tree]:
    return lambda path: _load(path, {"best": abstract})["best"]


def _load(path: Path, parts: dict[str, Any]) -> dict[str, Any]:
    """Each process reads by itself: one that fails must not leave the others waiting for it."""
    me, context = jax.process_index(), ocp.Context()
    context.multiprocessing.primary_host = me
    context.multiprocessing.active_processes = {me}
    context.multiprocessing.barrier_sync_key_prefix = f"process_{me}"
    with context:
        return ocp.load_checkpointables(path, parts)


def _steps(folder: Path) -> list[int]:
    """Of the checkpoints in a folder, newest first."""
    return sorted((int(p.name) for p in folder.glob("*") if p.name.isdigit()), reverse=True)


def _newest(folder: Path, load: Callable[[Path], Tree], damaged: Path | None = None) -> Tree | None:
    """What `load` makes of the newest checkpoint that every process can read; None without any.
    Newer ones that cannot be read are told of and, if `damaged` is given, moved there.

    Raises:
      ValueError: if there are some, and none can be read.
    """
    logging.getLogger("absl").setLevel(logging.WARNING)  # Orbax tells of every file otherwise
    steps, reasons = _of_first(_steps(folder)), dict[int, str]()
    for step in steps:
        found, reason = None, _damage(folder / str(step))
        if reason is None:
            try:
                found = load(folder / str(step))
            except Exception as error:  # a damaged file may raise anything
                reason = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
        if _everywhere(reason is None):
            _tell(folder, reasons, step, damaged)
            return found
        reasons[step] = reason or "another process cannot read it"
    if not steps:
        return None
    raise ValueError(
        f"no checkpoint in {folder} can be read ({len(steps)} tried); of the newest, {steps[0]}: "
        f"{reasons[steps[0]]}"
    )


def _damage(path: Path) -> str | None:
    """What the seal tells; process 0 looks at it for all."""
    found = seals.damage(path) if jax.process_index() == 0 else None
    return found if _everywhere(found is None) else found or "its files are damaged"


def _tell(folder: Path, reasons: dict[int, str], used: int, damaged: Path | None) -> None:
    """A line on stderr for each checkpoint that cannot be read, and its move to `damaged`."""
    if jax.process_index() == 0:
        for step, reason in reasons.items():
            line = f"{folder / str(step)} cannot be read ({reason}); {used} is used instead"
            if damaged is not None:
                line += f", and it is kept as {_set_aside(folder / str(step), damaged)}"
            print(line, file=sys.stderr)
    if reasons and jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"{folder.name}: damaged ones are moved")


def _set_aside(path: Path, damaged: Path) -> Path:
    damaged.mkdir(exist_ok=True)
    target, number = damaged / f"{path.parent.name}_{path.name}", 1
    while target.exists():
        number += 1
        target = target.with_name(f"{path.parent.name}_{path.name}_{number}")
    os.rename(path, target)
    return target


def _of_first(steps: list[int]) -> list[int]:
    """The list that process 0 has."""
    if jax.process_count() == 1:
        return steps
    padded = np.full(MOST, -1, np.int32)
    padded[: len(steps)] = steps[:MOST]
    return [step for step in multihost_utils.broadcast_one_to_all(padded).tolist() if step >= 0]


def _everywhere(true: bool) -> bool:
    """Whether all processes say so."""
    if jax.process_count() == 1:
        return true
    return bool(np.all(multihost_utils.process_allgather(np.array(true))))

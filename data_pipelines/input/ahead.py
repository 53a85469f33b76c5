"""Batches made ahead of time by worker processes; the same as without them.

A worker makes the whole batch of a step, which is a function of the step alone, and batches come
back in order: how many workers there are, or whether one is late, changes nothing.
"""

import functools
import itertools
import os
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

import grain

from data_pipelines import parallel
from data_pipelines.input.fields import Batch

DEPTH = 2  # batches in flight for each worker
GRACE = (
    30.0  # seconds that a worker outlives a signal to stop, which all processes of a job may get
)


class Ahead(grain.DatasetIterator):
    """An endless iterator over `make(step)`, with grain's state `{"next_index": step}`."""

    def __init__(self, make: Callable[[int], Batch], workers: int):
        """Starts nothing yet.

        Args:
          make: step -> batch; it travels to the workers, so it is importable by its name.
          workers: processes, from 1 on.
        """
        super().__init__()
        self._work, self._workers = functools.partial(_made, make), workers
        self._next = 0
        self._stream: Generator[Batch, None, None] | None = None

    def __next__(self) -> Batch:
        if self._stream is None:
            steps = itertools.count(self._next)
            self._stream = parallel.ordered_map(self._work, steps, self._workers, ahead=DEPTH)
        batch = next(self._stream)
        self._next += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        return {"next_index": self._next}

    def set_state(self, state: dict[str, Any]) -> None:
        self.close()
        self._next = state["next_index"]

    def close(self) -> None:
        """Ends the workers; the next batch starts others."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _made(make: Callable[[int], Batch], step: int) -> Batch:
    """A batch, in a worker."""
    _outlive_signals()
    return make(step)


@functools.cache
def _outlive_signals() -> None:
    """A run that is told to stop still needs batches until its processes agree on the last step."""

    def leave_later(number: int, frame: FrameType | None) -> None:
        timer = threading.Timer(GRACE, os._exit, [1])
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave_later)

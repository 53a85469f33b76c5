"""A trace of some training steps: what the host and the devices did, and when."""

import sys
from pathlib import Path
from typing import Any

import jax

WARM_UP = 3  # steps before the trace: the first compiles


class Trace:
    """Traces `steps` steps of a run into `folder`, on the first process; none for 0. A context
    manager around the loop, which tells it of every step."""

    def __init__(self, folder: str | Path, steps: int) -> None:
        self.folder, self.steps = Path(folder), steps if jax.process_index() == 0 else 0
        self._number, self._first, self._last = 0, 0, 0
        self._marks: list[jax.profiler.StepTraceAnnotation] = []  # of the step that is traced

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        if self.steps and not self._first:
            print(f"no trace: the run ended within {WARM_UP} steps, its warm-up", file=sys.stderr)

    def begin(self, step: int, state: Any) -> None:
        """Step `step` begins; `state` is the result of what came before."""
        self._number += 1
        number = self._number - WARM_UP
        if not self.steps or not 1 <= number <= self.steps + 1:
            return
        if number in (1, self.steps + 1):  # nothing of the steps before and after, all of these
            jax.block_until_ready(state)
        if number == self.steps + 1:
            self._stop()
            return
        if number == 1:
            jax.profiler.start_trace(self.folder, create_perfetto_trace=True)
            self._first = step
        self._end_step()
        self._last = step
        self._marks.append(jax.profiler.StepTraceAnnotation("train", step_num=step))
        self._marks[0].__enter__()

    def _end_step(self) -> None:
        while self._marks:
            self._marks.pop().__exit__(None, None, None)

    def _stop(self) -> None:
        """End the trace if it runs, and say where it lies."""
        if not self._marks:
            return
        self._end_step()
        jax.profiler.stop_trace()
        newest = max(self.folder.glob("plugins/profile/*/perfetto_trace.json.gz"))
        print(
            f"trace of steps {self._first} to {self._last}: open {newest} at "
            f"https://ui.perfetto.dev, or `pip install xprof` and `xprof --logdir {self.folder}`",
            file=sys.stderr,
        )

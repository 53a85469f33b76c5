"""Metrics to TensorBoard and to metrics.jsonl, and the progress line.

After a resume at step n, what belongs to later steps is cut from both, so that no step is there
twice. None is missing if the loop has written a step and flushed before it saves that step's state.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from ofer_jax import atomic, events


class Writer:
    """Scalars and the progress line of one run; `open` it before use."""

    def __init__(self, workdir: str | Path, label: str, every: int) -> None:
        self.path = Path(workdir) / "metrics.jsonl"
        self.label, self.every, self._open = label, every, False

    def open(self, start: int, total: int) -> None:
        """Begin at step `start` (that many are done) of `total`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _drop_later(self.path, start)
        self._file = self.path.open("a")
        self._board = events.Events(self.path.parent / "tensorboard", start)
        self._progress = Progress(start, total, self.every, self.label)
        self._open = True

    def scalars(self, step: int, values: Mapping[str, Any]) -> None:
        """Write one line; the values are made floats, which waits for the device."""
        numbers = {name: float(value) for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **numbers}) + "\n")
        self._file.flush()
        self._progress.figures |= {k: v for k, v in numbers.items() if not k.startswith("norm/")}
        self._board.scalars(step, numbers)

    def picture(self, step: int, picture: np.ndarray | None) -> None:
        """WORKDIR/pictures/STEP.png and TensorBoard's 'samples'; uint8 RGB [H, W, 3]."""
        if picture is None:
            return
        path = self.path.parent / "pictures" / f"{step}.png"
        with atomic.writing(path) as beside:
            Image.fromarray(picture).save(beside)
        self._board.picture(step, "samples", picture)

    def flush(self) -> None:
        """Return when everything is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._board.flush()

    def progress(self, step: int) -> None:
        """Tell of a step done."""
        self._progress.update(step)

    def close(self) -> None:
        """Close the files and end the progress line; nothing to do before `open`."""
        if not self._open:
            return
        self._progress.close()
        self._file.close()
        self._board.close()


class Silent:
    """The writer of every process but the first."""

    def open(self, start: int, total: int) -> None:
        """Do nothing."""

    def scalars(self, step: int, values: Mapping[str, Any]) -> None:
        """Do nothing."""

    def picture(self, step: int, picture: np.ndarray | None) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def progress(self, step: int) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def _drop_later(path: Path, start: int) -> None:
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if _step(line) <= start]
    atomic.write_text(path, "".join(line + "\n" for line in kept))


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError):  # half a line, from a run that was killed
        return float("inf")


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """The lines of a metrics.jsonl."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


class Progress:
    """Steps a second, time left and a few figures: one line renewed on a terminal, else a line each
    `every` steps."""

    def __init__(
        self, start: int, total: int, every: int, label: str, stream: TextIO | None = None
    ) -> None:
        self.start, self.total, self.every, self.label = start, total, every, label
        self.stream = stream or sys.stderr
        self.began = self.shown = time.perf_counter()
        self.figures: dict[str, float] = {}

    def update(self, step: int) -> None:
        """Tell of a step done; `figures` are shown until replaced."""
        now = time.perf_counter()
        if step == self.start + 1:  # compilation is over: the clock for steps a second starts here
            self.began = now
        if self.stream.isatty():
            if now - self.shown > 0.2 or step == self.total:
                self.shown = now
                self.stream.write("\r\x1b[K" + self.line(step, now))
                self.stream.flush()
        elif step % self.every == 0 or step == self.total:
            self.stream.write(self.line(step, now) + "\n")

    def line(self, step: int, now: float) -> str:
        rate = (step - self.start - 1) / max(now - self.began, 1e-9)
        left = (self.total - step) / rate if rate > 0 else float("nan")
        figures = "  ".join(f"{k} {v:.4g}" for k, v in self.figures.items())
        return (
            f"{self.label} step {step}/{self.total}  {rate:.1f} steps/s  {_clock(left)} left  "
            f"{figures}"
        )

    def close(self) -> None:
        """End the renewed line."""
        if self.stream.isatty():
            self.stream.write("\n")


def _clock(seconds: float) -> str:
    if not seconds < 1e7:
        return "--:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

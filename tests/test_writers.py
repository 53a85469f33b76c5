"""Metrics files and the progress line."""

import io
import struct
from pathlib import Path

import numpy as np
from tensorboardX.record_writer import masked_crc32c

from ofer_jax import events, writers


def write(workdir: Path, start: int, steps: range) -> None:
    writer = writers.Writer(workdir, "toy", 1000)
    writer.open(start, 10)
    for step in steps:
        writer.scalars(step, {"loss": 1 / step})
    writer.close()


def test_a_resumed_run_leaves_no_step_twice(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 9))
    write(tmp_path, 5, range(6, 11))
    steps = [line["step"] for line in writers.read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == list(range(1, 11))
    found = [(step, np.float32(1 / step)) for step in range(1, 11)]
    assert [(s, v) for s, _, v in events.read(tmp_path / "tensorboard")] == found


def test_half_a_line_is_dropped(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 4))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    write(tmp_path, 3, range(4, 5))
    steps = [line["step"] for line in writers.read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [1, 2, 3, 4]


def test_a_flush_leaves_nothing_for_a_kill_to_take(tmp_path: Path) -> None:
    writer = writers.Writer(tmp_path, "toy", 1000)
    writer.open(0, 10)
    writer.scalars(1, {"loss": 2.0, "grad_norm": 3.0})
    writer.flush()
    found = [(1, "grad_norm", 3.0), (1, "loss", 2.0)]
    assert events.read(tmp_path / "tensorboard") == found  # while it is still open
    writer.close()


def test_half_an_event_is_dropped(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 4))
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    write(tmp_path, 2, range(3, 5))
    assert [s for s, _, _ in events.read(tmp_path / "tensorboard")] == [1, 2, 3, 4]


def test_tensorboard_reads_the_files(tmp_path: Path) -> None:
    """Their checksums are right after a cut, which tensorboardX's own reader does not check."""
    write(tmp_path, 0, range(1, 4))
    write(tmp_path, 2, range(3, 5))
    for path in (tmp_path / "tensorboard").iterdir():
        data, at = path.read_bytes(), 0
        while at < len(data):
            end = at + 12 + struct.unpack_from("<Q", data, at)[0]
            for first, last in ((at, at + 8), (at + 12, end)):
                stored = struct.unpack_from("<I", data, last)[0]
                assert stored == masked_crc32c(data[first:last])
            at = end + 4


def test_closing_before_opening_is_harmless(tmp_path: Path) -> None:
    writers.Writer(tmp_path, "toy", 10).close()
    assert not list(tmp_path.iterdir())


def test_the_progress_line_tells_rate_and_time_left() -> None:
    progress = writers.Progress(0, 3601, 1, "idgen", io.StringIO())
    progress.began, progress.figures = 100.0, {"loss": 0.25}
    line = progress.line(step=11, now=110.0)
    assert line == "idgen step 11/3601  1.0 steps/s  59:50 left  loss 0.25"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_renewed_line_and_a_file_a_line_now_and_then() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = writers.Progress(0, 20, 10, "idgen", stream)
        for step in range(1, 21):
            progress.update(step)
        progress.close()
    assert terminal.getvalue().count("\n") == 1
    assert file.getvalue().count("\n") == 2

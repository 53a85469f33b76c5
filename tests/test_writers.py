"""Metrics files and the progress line."""

import io
from pathlib import Path

from ofer_jax import writers


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


def test_half_a_line_is_dropped(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 4))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    write(tmp_path, 3, range(4, 5))
    steps = [line["step"] for line in writers.read_metrics(tmp_path / "metrics.jsonl")]
    assert steps == [1, 2, 3, 4]


def test_tensorboard_gets_the_same_figures(tmp_path: Path) -> None:
    write(tmp_path, 0, range(1, 4))
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents*"))


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

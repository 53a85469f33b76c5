"""A trace holds the steps that were asked for, and tells where it is."""

import gzip
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from ofer_jax import profiling


def run(folder: Path, traced: int, steps: int, start: int = 10) -> None:
    step = jax.jit(lambda x: x + 1)
    state = jnp.zeros(())
    with profiling.Trace(folder, traced) as trace:
        for number in range(start + 1, start + steps + 1):
            trace.begin(number, state)
            state = step(state)


def marked(folder: Path) -> list[str]:
    """The steps marked in the trace."""
    (path,) = folder.glob("plugins/profile/*/perfetto_trace.json.gz")
    with gzip.open(path) as file:
        events = json.load(file)["traceEvents"]
    return sorted(e["args"]["step_num"] for e in events if e.get("name") == "train")


def test_a_trace_holds_its_steps_after_the_warm_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "profile", traced=2, steps=9)
    assert marked(tmp_path / "profile") == ["14", "15"]
    said = capsys.readouterr().err
    assert said.startswith("trace of steps 14 to 15: open") and "ui.perfetto.dev" in said
    assert said.count("\n") == 1


def test_the_end_of_the_run_ends_the_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "profile", traced=50, steps=profiling.WARM_UP + 2)
    assert marked(tmp_path / "profile") == ["14", "15"]
    assert "trace of steps 14 to 15" in capsys.readouterr().err


def test_a_run_that_only_warms_up_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "profile", traced=2, steps=profiling.WARM_UP)
    assert not (tmp_path / "profile").exists()
    assert capsys.readouterr().err == "no trace: the run ended within 3 steps, its warm-up\n"


def test_without_steps_nothing_is_traced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "profile", traced=0, steps=9)
    assert not (tmp_path / "profile").exists()
    assert capsys.readouterr().err == ""

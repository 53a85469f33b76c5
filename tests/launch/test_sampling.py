"""`python -m launch.sampling`, run as a command on three made-up heads and an untrained bundle."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from launch import sampling_inputs
from ofer_jax import flame, openhead
from tests.launch.test_evaluate import write_bundle, write_split


def command(root: Path, *words: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "launch.sampling", *map(str, words)]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_the_command_prints_tables_draws_a_curve_and_goes_on(root: Path, tmp_path: Path) -> None:
    head = flame.load(openhead.head_path())
    write_bundle(tmp_path / "bundle", head)
    write_split(tmp_path / "data", head)
    places = ("--bundle", tmp_path / "bundle", "--data", tmp_path / "data", "--out", tmp_path / "o")
    sizes = ("--faces=2", "--samples=5", "--steps=4", "--samplers=dpm3,ode", "--heads=2")
    done = command(root, *places, *sizes)
    assert done.returncode == 0, done.stderr
    assert "| expgen | ode | 4 | " in done.stdout
    assert "| clean, DDPM " in done.stdout
    report = json.loads((tmp_path / "o" / "sampling.json").read_text())
    assert (report["faces"], report["samples"], len(report["rows"])) == (2, 5, 4)
    assert report["tables"]["ddpm"]["samplers"]["idgen"] == {"name": "ddpm"}
    assert (tmp_path / "o" / "sampling.png").read_bytes().startswith(b"\x89PNG")
    sets = sorted((tmp_path / "o" / "draws").glob("*/*.npy"))
    assert len(sets) == 2 * 2 * (2 + 2)  # faces, tasks, sets
    assert np.load(sets[0]).shape[0] == 5
    made = {path: path.stat().st_mtime_ns for path in sets[1:]}
    sets[0].unlink()
    again = command(root, *places, *sizes)
    assert again.stdout == done.stdout
    assert {path: path.stat().st_mtime_ns for path in sets[1:]} == made
    assert sets[0].exists()


def test_a_missing_data_set_is_one_line_and_status_2(root: Path, tmp_path: Path) -> None:
    done = command(root, "--data", tmp_path / "nothing", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("sampling: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("told", [[], ["10", "x"], ["0"], ["-5"], ["1.5"]])
def test_senseless_numbers_of_steps_are_refused(told: list[str]) -> None:
    with pytest.raises(ValueError, match="--steps takes numbers"):
        sampling_inputs.numbers(told)


def test_an_unknown_sampler_is_named_before_any_work() -> None:
    with pytest.raises(ValueError, match=r"--samplers knows dpm3, .*; got 'euler'"):
        sampling_inputs.given("nowhere", "nowhere", "test", ["dpm3", "euler"])

"""The benchmark's command, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batches import write_split

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launch.benchmark", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_it_measures_idrank_with_candidates_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    chosen = ("--task=idrank", "--size=openhead", "--batch=4", "--steps=5", f"--out={out}")
    done = run("train", *chosen)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("| task | size | batch | devices | examples/s |")
    found = json.loads(out.read_text())
    (row,) = found["rows"]
    assert (row["task"], row["candidates"], row["batch"]) == ("idrank", "step", 4)
    assert row["utilisation"] > 0 and found["machine"]["cores"] > 0


def test_it_says_what_it_can_measure() -> None:
    done = run("fly")
    assert done.returncode != 0 and "train, scaling, work" in done.stdout + done.stderr


def test_it_measures_reading(tmp_path: Path) -> None:
    write_split(tmp_path, 20)
    out = tmp_path / "figures.json"
    chosen = (f"--data={tmp_path}", "--features=open", "--batch=8", "--steps=5", "--workers=0")
    done = run("input", *chosen, f"--out={out}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("| features | batch | hidden | workers | examples/s |")
    rows = json.loads(out.read_text())["rows"]
    assert [row["hidden"] for row in rows] == [0.0, 0.5, 1.0]
    assert all(row["examples_per_s"] > 0 and row["cpu_ms_an_example"] > 0 for row in rows)

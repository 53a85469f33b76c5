"""launch.inspect_data as its users run it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tests import squares

pytestmark = pytest.mark.slow  # two processes that load TFDS


def run(root: Path, *words: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "launch.inspect_data", *map(str, words)]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=600)


def test_a_set_of_another_head_is_shown_without_meshes(root: Path, tmp_path: Path) -> None:
    squares.build(tmp_path / "set", train=3, validation=1, test=1)
    done = run(root, tmp_path / "set", "--out", tmp_path / "sheet.png", "--verify", "--count=2")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "of 3 records" in done.stdout and "no meshes" in done.stdout
    with PIL.Image.open(tmp_path / "sheet.png") as sheet:
        assert np.asarray(sheet).shape == (224 + 12, 2 * 2 * 224 + 18, 3)


def test_what_is_no_data_set_is_one_line(root: Path, tmp_path: Path) -> None:
    done = run(root, "--data", tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("inspect_data: ")
    assert done.stderr.count("\n") == 1

"""`python -m launch.convert`, run as a command."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ofer_jax import bundle, flame, openhead
from tests import flame_files, small_published, torchfiles

SMALL = """
import sys
from absl import app
from tests import small_published
small_published.shrink()
from launch import convert
app.run(convert.main)
"""


def command(root: Path, *words: object, small: bool = False) -> subprocess.CompletedProcess[str]:
    start = ["-c", SMALL] if small else ["-m", "launch.convert"]
    line = [sys.executable, *start, *map(str, words)]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The files of a user: FLAME's, and the three checkpoints."""
    path = tmp_path_factory.mktemp("published")
    head, surface = flame.load(openhead.head_path()), openhead.surface()
    masks, front = {"face": surface["region_face"]}, surface["region_front"][:1785]
    name = flame_files.MODELS["FLAME 2023"]
    flame_files.write(path / "flame", head, name=name, masks=masks, front=front)
    small_published.write(path, *small_published.OFER)
    return path


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("file*.bin"))


def test_published_checkpoints_become_a_bundle_with_its_head(root: Path, folder: Path) -> None:
    out = folder / "bundle"
    words = ("--from", "ofer", *checkpoints(folder), "--flame", folder / "flame", "--out", out)
    done = command(root, *words, "--mode=official_demo", "--seed=5", small=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" MB\n")
    assert done.stderr.count("warning: ") == 2 and "drawn from seed 5" in done.stderr
    head = bundle.head_path(out)
    assert head is not None
    assert len(flame.surface(head)["region_front"]) == 1785
    made = bundle.load(out, flame.load(folder / "flame"))
    assert made.config["mode"] == "official_demo"
    stored = json.loads((out / "config.json").read_text())
    assert stored["provenance"]["published"]["files"]["idgen"]["file"] == "file0.bin"
    assert str(folder) not in (out / "config.json").read_text()


def test_a_bad_file_is_one_line_and_leaves_nothing(
    root: Path, folder: Path, tmp_path: Path
) -> None:
    torchfiles.write(tmp_path / "notes.tar", {"net": {"fc.weight": np.ones(3)}})
    files = [*checkpoints(folder)[:2], tmp_path / "notes.tar"]
    words = ("--from=ofer", *files, f"--flame={folder / 'flame'}", f"--out={tmp_path / 'out'}")
    done = command(root, *words)
    assert done.returncode == 1
    assert done.stderr.startswith("launch.convert: ") and done.stderr.count("\n") == 1
    assert "notes.tar: its entry net is neither a ranker nor a denoiser" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.tar"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from=ofer", "nowhere.tar", "--flame=open.npz"], "no head model at open.npz"),
        (["--from=ofer", "nowhere.tar"], "--flame must be given"),
        (["--idgen=runs/idgen", "--expgen=runs/expgen"], "--idrank must be given"),
        (["more"], "unknown argument 'more'"),
    ],
)
def test_what_is_missing_is_named(root: Path, tmp_path: Path, words, message: str) -> None:
    done = command(root, *words, f"--out={tmp_path / 'out'}")
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())

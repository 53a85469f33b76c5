"""`python -m launch.evaluate`, run as a command on three made-up heads and an untrained bundle."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from data_pipelines import input as data_input
from ofer_jax import bundle, flame, openhead
from tests import toy


def command(root: Path, *words: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "launch.evaluate", *map(str, words)]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=900)


def write_bundle(folder: Path, head: flame.FlameModel, seed: int = 0) -> None:
    """An untrained bundle for six features and the open head."""
    surface = openhead.surface()
    regions = surface["region_face"], surface["region_front"]
    bundle.save(toy.random_bundle(jax.random.key(seed), head, 6, *regions), folder)


def write_split(folder: Path, head: flame.FlameModel) -> None:
    """A split of three heads in the layout of the feature pass."""
    rng = np.random.default_rng(0)
    sizes = {"features_clean": 6, "features_occluded": 6, "shape": 300, "expression": 100}
    sizes |= {"jaw": 3, "neck": 3, "eyes": 6, "global_rotation": 3}
    arrays = {name: rng.normal(size=(3, n)).astype(np.float32) for name, n in sizes.items()}
    arrays |= {"subject": np.arange(3), "occluder": np.array(["hand", "cup", "hair"])}
    folder = data_input.folder(folder, "test")
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    meta: dict = {"count": 3, "head": {"name": head.name, "sha256": head.sha256}}
    meta["projection"] = "f" * 64
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.slow
def test_the_command_prints_the_table_and_writes_the_report(root: Path, tmp_path: Path) -> None:
    head = flame.load(openhead.head_path())
    write_bundle(tmp_path / "bundle", head)
    write_split(tmp_path / "data", head)
    places = ("--bundle", tmp_path / "bundle", "--data", tmp_path / "data")
    sizes = ("--samples=4", "--expressions=2", "--limit=2", "--batch=2", "--seed=7")
    done = command(root, *places, *sizes, "--out", tmp_path / "out" / "report.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(head.name)
    assert "| oracle of 4 " in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["faces"], report["samples"], report["seed"]) == (2, 4, 7)
    assert report["head"]["sha256"] == head.sha256
    assert 0.1 < report["clean"]["mean face"]["mm"]["value"] < 20


def test_a_missing_data_set_is_one_line_and_status_2(root: Path, tmp_path: Path) -> None:
    done = command(root, "--data", tmp_path / "nothing")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("evaluate: ")
    assert len(done.stderr.splitlines()) == 1

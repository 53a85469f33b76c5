"""What goes from a run into a bundle's record, and the head that a run keeps."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from launch import record as records
from launch import setup
from ofer_jax import checkpoint, flame
from tests import toy


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python -m x --workdir /home/me/runs/a", "python -m x --workdir a"),
        (
            "x --data=/mnt/d/set --config configs/a.py:demo",
            "x --data=set --config configs/a.py:demo",
        ),
        ("x --config.a=1e-3/2 --out ../runs/b", "x --config.a=1e-3/2 --out ../runs/b"),
        ("x --data=/mnt/d/a:1,/mnt/b:0.5,c:2", "x --data=a:1,b:0.5,c:2"),
    ],
)
def test_commands_are_told_without_folders_from_the_root(command, told):
    assert records.told(command) == told


@pytest.fixture
def own_head(tmp_path):
    """The toy head in a user's file."""
    surface = {"region_face": toy.REGION, "region_front": toy.REGION}
    head = dataclasses.replace(toy.head(), release="FLAME 2023")
    flame.save(tmp_path / "user" / "flame2023.npz", head, surface)
    return tmp_path / "user" / "flame2023.npz"


def record(path, workdir, weights=None):
    """Writes the record of a run on the head in `path`."""
    config = toy.config("expgen")
    config.head, config.input.dir = str(path), str(path.parent / "data")
    meta = {"count": 3, "content_hash": "c", "features": "open", "projection": ""}
    head = setup.head_of(config)
    records.write(config, workdir, head, meta, weights or {})
    return config, head, json.loads((workdir / "config.json").read_text())


def test_a_run_keeps_its_own_head_and_tells_no_path(own_head, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["launch.train", f"--flame={own_head}"])
    _, head, found = record(own_head, tmp_path / "run")
    assert str(tmp_path) not in json.dumps(found)
    assert found["config"]["head"] == "head.npz" and found["config"]["input"]["dir"] == "data"
    assert found["head"] == head[0].identity and found["head"]["release"] == "FLAME 2023"
    again = flame.load(tmp_path / "run" / "head.npz")
    assert again.identity == head[0].identity
    np.testing.assert_array_equal(again.shapedirs, head[0].shapedirs)


def test_the_best_of_a_run_is_read_when_the_users_files_are_gone(own_head, tmp_path):
    config, head, _ = record(own_head, tmp_path / "run")
    own_head.unlink()
    constants = setup.constants_of(config.to_dict(), *head)
    params = toy.TASKS["expgen"].init(config.model.to_dict(), jax.random.key(0), constants)
    best = {"params": params, "values": {"loss": np.array(0.5)}, "steps": {"loss": np.array(4)}}
    with checkpoint.Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save_best(best)
    assert checkpoint.exists(tmp_path / "run") is False
    found, read, figures = setup.best_params(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, read, jax.tree.map(np.asarray, params))
    assert setup.head_of(found["config"])[0].sha256 == head[0].sha256
    assert figures["values"] == {"loss": 0.5}


def test_a_run_tells_its_code_and_its_machine(own_head, tmp_path):
    found = record(own_head, tmp_path / "run")[2]
    assert found["device"] == "8 x cpu" and found["versions"]["jax"] == jax.__version__
    assert found["git"].keys() == {"commit", "dirty"}


def test_a_run_that_goes_on_remembers_its_weights(own_head, tmp_path):
    weights = {"arcface": {"file": "backbone.pth", "sha256": "a" * 64}}
    assert record(own_head, tmp_path / "run", weights)[2]["weights"] == weights
    assert record(own_head, tmp_path / "run")[2]["weights"] == weights


def test_a_head_without_the_tasks_region_is_refused():
    with pytest.raises(ValueError, match="'toy' has no region_face"):
        setup.constants_of(toy.config("idgen").to_dict(), toy.head(), {})

"""A run goes on only with its own head and config."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from launch import resume
from tests import toy, untrained


def whole(task: str = "idgen"):
    """A config with the fields that the launch adds."""
    config = toy.config(task)
    config.update({"head": "open", "idgen": "", "candidates": {"dir": ""}})
    config.input.update({"dir": "data", "candidates": "", "workers": 0})
    return config


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """A run with a checkpoint, on the toy head."""
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    write(tmp_path, json.loads(whole().to_json_best_effort()))
    return tmp_path


def write(workdir: Path, config: dict, **head: str) -> None:
    identity = {**toy.head().identity, **head}
    (workdir / "config.json").write_text(json.dumps({"config": config, "head": identity}))


def test_the_same_head_and_config_go_on(workdir):
    resume.check(whole(), workdir, toy.head())


@pytest.mark.parametrize("key", resume.MAY_CHANGE)
def test_what_does_not_change_the_run_may_change(workdir, key):
    config = whole()
    if key == "mesh":
        config.mesh.update({"data": 2, "fsdp": 4, "rules": ((".*", "fsdp"),)})
    else:
        number = key.endswith(("steps", "keep", "workers"))
        config.update_from_flattened_dict({key: 7 if number else "elsewhere"})
    resume.check(config, workdir, toy.head())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.net.widths": [32]}, r"model.net.widths was \[16\], is \[32\]"),
        ({"model.loss": "l1"}, "model.loss was l2, is l1"),
        ({"optim.learning_rate": 0.5}, "optim.learning_rate was 0.001, is 0.5"),
        ({"seed": 4, "ema_decay": 0.5}, "ema_decay was 0.9, is 0.5; seed was 3, is 4"),
        ({"input.batch_size": 8}, "input.batch_size was 16, is 8"),
    ],
)
def test_another_config_is_named_in_one_line(workdir, changes, said):
    config, before = whole(), (workdir / "config.json").read_bytes()
    config.update_from_flattened_dict(changes)
    with pytest.raises(ValueError, match=rf"\({said}\); go on with that config") as caught:
        resume.check(config, workdir, toy.head())
    assert "\n" not in str(caught.value)
    assert (workdir / "config.json").read_bytes() == before


def test_another_task_is_named(workdir):
    with pytest.raises(ValueError, match=r"run of another config .*model.net"):
        resume.check(whole("idrank"), workdir, toy.head())


def test_a_field_that_came_or_went_is_named(workdir):
    stored = json.loads(whole().to_json_best_effort())
    del stored["model"]["weight_power"]
    write(workdir, {**stored, "gone": 1})
    message = r"gone was 1, is gone; model.weight_power was not there, is 0.5"
    with pytest.raises(ValueError, match=message):
        resume.check(whole(), workdir, toy.head())


def test_a_record_from_before_a_field_of_the_input_goes_on(workdir):
    config = whole()
    config.input.update({"images_per_subject": 1, "augment": {"strength": 1.0, "kinds": ()}})
    resume.check(config, workdir, toy.head())
    config.input.images_per_subject = 4
    with pytest.raises(ValueError, match=r"input.images_per_subject was 1, is 4"):
        resume.check(config, workdir, toy.head())


def test_data_may_lie_elsewhere_but_weigh_the_same(workdir):
    config = whole()
    config.input.dir = "data/a:1,data/b:2"
    write(workdir, json.loads(config.to_json_best_effort()))
    config.input.dir = "elsewhere/a:1,b:2"
    resume.check(config, workdir, toy.head())
    config.input.dir = "data/a:1,data/b:1"
    with pytest.raises(ValueError, match=r"input.dir was data/a:1,data/b:2, is data/a:1,data/b:1"):
        resume.check(config, workdir, toy.head())


def test_another_head_is_refused_with_both_releases(workdir):
    write(workdir, json.loads(whole().to_json_best_effort()), release="FLAME 2020")
    other = dataclasses.replace(toy.head(), sha256="1" * 64, release="FLAME 2023")
    message = r"on head 'toy' \(FLAME 2020, 0+\), not on 'toy' \(FLAME 2023, 1+\)"
    with pytest.raises(ValueError, match=message):
        resume.check(whole(), workdir, other)


def test_a_run_without_a_checkpoint_starts_anew(workdir):
    (workdir / "checkpoints" / "5").rename(workdir / "checkpoints" / "5.orbax-checkpoint-tmp")
    config = whole()
    config.model.loss = "l1"
    resume.check(config, workdir, dataclasses.replace(toy.head(), sha256="1" * 64))
    resume.check(config, workdir / "new", toy.head())


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"head": {}, "config": []}'])
def test_a_damaged_record_is_one_line(workdir, text):
    (workdir / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        resume.check(whole(), workdir, toy.head())


@pytest.mark.slow
def test_the_training_command_refuses_before_it_writes(root, tmp_path):
    head = untrained.head().identity
    folder, workdir = tmp_path / "data" / "features" / "train", tmp_path / "run"
    folder.mkdir(parents=True)
    meta = {"features": "open", "width": 557, "count": 9, "head": head, "projection": ""}
    meta["content_hash"] = ""
    (folder / "meta.json").write_text(json.dumps(meta))
    (workdir / "checkpoints" / "5").mkdir(parents=True)
    write(workdir, {}, release="FLAME 2020")
    before = (workdir / "config.json").read_bytes()
    places = ["--data", str(tmp_path / "data"), "--workdir", str(workdir)]
    line = [sys.executable, "-m", "launch.train", "--config=configs/idgen_openhead.py", *places]
    done = subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert len(said) == 1 and "'toy' (FLAME 2020, 000000000000), not on 'open-head-1'" in said[0]
    assert (workdir / "config.json").read_bytes() == before
    assert sorted(p.name for p in workdir.iterdir()) == ["checkpoints", "config.json"]

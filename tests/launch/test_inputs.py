"""What a run takes from outside: the data set it refuses, the weights it starts from."""

import hashlib

import numpy as np
import pytest

from launch import inputs
from ofer_jax import importers
from tests import toy
from tests.batches import write_split

META = {"features": "crops", "count": 1000, "head": toy.head().identity}


def config(schedule: str = "plateau"):
    """Of a run on crops, 64 pictures a step."""
    made = toy.config("idgen")
    made.model.features = {"name": "crops"}
    made.input.batch_size = 64
    made.optim.update({"schedule": schedule, "epoch_steps": 0})
    return made


def test_an_epoch_has_as_many_steps_as_the_data_fill_batches():
    run = config()
    inputs.check_data(run, META, toy.head())
    assert run.optim.epoch_steps == 16
    inputs.check_data(run, META | {"count": 3}, toy.head())
    assert run.optim.epoch_steps == 1
    other = config("cosine")
    inputs.check_data(other, META, toy.head())
    assert other.optim.epoch_steps == 0


def test_an_epoch_of_k_images_sees_every_subject_once(tmp_path):
    write_split(tmp_path, 36, subjects=np.arange(36) % 12)
    run = config()
    run.model.features = {"name": "open", "size": 0}
    run.input.update({"dir": str(tmp_path), "batch_size": 8, "images_per_subject": 4})
    inputs.check_data(run, META | {"features": "open", "count": 36}, toy.head())
    assert run.optim.epoch_steps == 6


def test_expgen_refuses_pictures_of_unknown_expression(tmp_path):
    write_split(tmp_path, 6)
    known = tmp_path / "features" / "train" / "has_expression.npy"
    np.save(known, np.array([True] * 5 + [False]))
    run = toy.config("expgen")
    run.input.dir = str(tmp_path)
    meta = META | {"features": run.model.features.name}
    with pytest.raises(ValueError, match=r"\(train\) has pictures of unknown expression"):
        inputs.check_data(run, meta, toy.head())
    np.save(known, np.ones(6, bool))
    inputs.check_data(run, meta, toy.head())


def test_the_width_of_features_is_taken_over():
    run = toy.config("idgen")
    inputs.check_data(run, META | {"features": "open", "width": 12}, toy.head())
    assert run.model.features.size == 12


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": "open", "width": 12}, "features 'open', not 'crops'"),
        ({"head": {"name": "flame2023", "sha256": "f" * 64}}, r"head 'flame2023' .* 'toy'"),
    ],
)
def test_another_data_set_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        inputs.check_data(config(), META | changes, toy.head())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two files, and readers that give back what they were asked to read."""
    paths = {name: str(tmp_path / f"{name}.pth") for name in ("arcface", "farl")}
    for name, path in paths.items():
        (tmp_path / f"{name}.pth").write_bytes(name.encode())
        monkeypatch.setattr(importers, name, lambda path: {"params": {"of": np.array(path)}})
    return paths


def test_weights_go_where_the_encoder_keeps_them(files, capsys):
    found = inputs.pretrained("farl+arcface", files)
    assert found.keys() == {"encoder"} and found["encoder"].keys() == {"arcface", "farl"}
    assert found["encoder"]["farl"]["params"]["of"] == files["farl"]
    alone = inputs.pretrained("arcface", files | {"farl": None})
    assert alone["encoder"].keys() == {"arcface"}
    assert inputs.pretrained("mlp", {"arcface": None, "farl": None}) == {}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("encoder", "given", "said"),
    [
        ("arcface", (), "without --arcface"),
        ("farl+arcface", (), "without --farl and --arcface"),
        ("farl+arcface", ("arcface",), "without --farl the"),
    ],
)
def test_random_weights_are_told_of_in_one_line(files, capsys, encoder, given, said):
    inputs.pretrained(encoder, {name: files[name] if name in given else None for name in files})
    told = capsys.readouterr().err
    assert said in told and "random" in told and told.count("\n") == 1


@pytest.mark.parametrize("encoder", ["mlp", "cached", "arcface"])
def test_weights_without_a_place_are_refused(files, encoder):
    with pytest.raises(ValueError, match=rf"{encoder}.* takes no --farl"):
        inputs.pretrained(encoder, {"arcface": None, "farl": files["farl"]})


def test_the_record_tells_names_and_hashes_alone(files):
    told = inputs.told(files | {"farl": None})
    sha256 = hashlib.sha256(b"arcface").hexdigest()
    assert told == {"arcface": {"file": "arcface.pth", "sha256": sha256}}

"""Three runs fit each other, or are refused."""

import jax
import pytest

from launch import runs, setup
from tests import toy

TASKS = ("idgen", "idrank", "expgen")


@pytest.fixture
def records(monkeypatch):
    """What `setup.best_params` reads of each run, to be changed; the workdirs are their names."""
    made = toy.random_bundle(jax.random.key(0), toy.head())
    known = {
        name: {
            "config": {"task": name, "model": made.config["tasks"][name], "head": "toy", "seed": 1},
            "head": toy.head().identity,
            "data": {"projection": "a" * 64},
            "versions": {},
            "device": "cpu",
            "command": f"python -m launch.train --workdir /tmp/{name}",
        }
        for name in TASKS
    }
    best = {"values": {"loss": 0.5}, "steps": {"loss": 20}}
    monkeypatch.setattr(setup, "best_params", lambda w: (known[w], made.params[w], best))
    monkeypatch.setattr(setup, "head_of", lambda config: (toy.head(), {}))
    return known


def test_three_runs_make_a_bundle(records):
    made, own = runs.bundle_of(dict(zip(TASKS, TASKS, strict=True)))
    assert own["head"].sha256 == toy.head().sha256  # not the embedded one: the bundle brings it
    assert made.config["tasks"]["expgen"] == records["expgen"]["config"]["model"]
    assert made.config["projection"] == "a" * 64
    about = made.config["provenance"]["idrank"]
    assert about["best"] == {"loss": [20, 0.5]}
    assert about["command"].endswith("--workdir idrank")


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("idrank", {"data": {"projection": "b" * 64}}, "features of different projections"),
        ("expgen", {"head": {"name": "x", "sha256": "1" * 64}}, "expgen was trained on head"),
    ],
)
def test_runs_that_do_not_fit_are_refused(records, task, change, message):
    records[task].update(change)
    with pytest.raises(ValueError, match=message):
        runs.bundle_of(dict(zip(TASKS, TASKS, strict=True)))


def test_a_run_of_another_task_is_named(records):
    with pytest.raises(ValueError, match="--idrank=idgen holds a run of idgen"):
        runs.bundle_of({"idgen": "idgen", "idrank": "idgen", "expgen": "expgen"})

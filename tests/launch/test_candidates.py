"""What is drawn before training, and which IdGen it may come from."""

import functools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import common
from data_pipelines import input as batches
from launch import candidates, held_out, setup
from ofer_jax.tasks import idgen
from tests import toy

COUNT = 6


@functools.cache
def params(seed: int = 0) -> Any:
    made = idgen.init(toy.model_config("idgen"), jax.random.key(seed), toy.constants("idgen"))
    return jax.device_get(made)


def use(patch: pytest.MonkeyPatch, task: str = "idgen", seed: int = 0, **head: str) -> None:
    """Let every workdir hold this run."""
    record = {
        "config": {"task": task, "model": toy.model_config("idgen")},
        "head": {**toy.head().identity, **head},
    }
    patch.setattr(setup, "best_params", lambda workdir: (record, params(seed), {}))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConfigDict:
    """A run's on COUNT pictures a split."""
    use(monkeypatch)
    some = toy.arrays(COUNT)
    for split in ("train", "validation"):
        where = batches.folder(tmp_path, split)
        where.mkdir(parents=True)
        for name in (*batches.COEFFICIENTS, "features_clean", "features_occluded"):
            np.save(where / f"{name}.npy", some.get(name.split("_")[0], np.arange(COUNT)))
        meta = {"count": COUNT, "head": toy.head().identity, "content_hash": split}
        (where / "meta.json").write_text(json.dumps(meta))
    made = toy.config("idrank")
    made.update({"idgen": "runs/idgen", "candidates": common.candidates(3, 8, 4)})
    made.input.update({"dir": str(tmp_path), "num_candidates": 3, "candidates": ""})
    made.input.occluded_share = 0.5
    return made


def test_a_step_draws_its_own_and_the_held_out_ones_are_fixed(
    config: ConfigDict, tmp_path: Path
) -> None:
    made = candidates.prepare(config, tmp_path / "run")["generator"]
    assert (made.num, made.keep, config.input.candidates) == (3, 8, "")
    step = next(batches.make_train_iter(config.input, seed=0))
    assert "candidates" not in step
    held = held_out.arrays(config)["candidates"][0 : 2 * COUNT]
    assert held.shape == (2 * COUNT, 4, 8)
    config.candidates.way = "pool"
    assert candidates.prepare(config, tmp_path / "other") == {}
    again = held_out.arrays(config)["candidates"][0 : 2 * COUNT]
    np.testing.assert_array_equal(held, again)
    step = next(batches.make_train_iter(config.input, seed=0))
    assert step["candidates"].shape == (16, 3, 8)


def test_pictures_that_are_never_shown_get_no_pool(config: ConfigDict, tmp_path: Path) -> None:
    config.candidates.way, config.input.occluded_share = "pool", 0.0
    candidates.prepare(config, tmp_path / "run")
    names = {path.name.split("-")[0] for path in Path(config.candidates.dir).iterdir()}
    assert names == {"train_clean", "validation_clean", "validation_occluded"}


def test_a_run_goes_on_with_the_same_network_only(
    config: ConfigDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates.prepare(config, tmp_path)
    use(monkeypatch, seed=1)
    first = config.candidates.dir
    candidates.prepare(config, tmp_path)  # nothing was trained yet
    assert config.candidates.dir != first
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    use(monkeypatch, seed=2)
    with pytest.raises(ValueError, match="candidates of another IdGen than runs/idgen"):
        candidates.prepare(config, tmp_path)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"task": "expgen"}, "runs/idgen holds a run of expgen"),
        ({"name": "other", "sha256": "f" * 64}, "runs/idgen .*'other' .* not on 'toy'"),
    ],
)
def test_candidates_come_from_an_idgen_of_this_head(
    config: ConfigDict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record: dict[str, str],
    said: str,
) -> None:
    use(monkeypatch, **record)
    with pytest.raises(ValueError, match=said):
        candidates.prepare(config, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"idgen": ""}, "needs a trained IdGen"),
        ({"candidates": {"way": "stream"}}, "'stream'; use one of step, pool, none"),
        ({"candidates": {"sampler": {"name": "euler"}}}, "'euler' is not known"),
    ],
)
def test_a_config_that_cannot_be_meant_is_an_error(
    config: ConfigDict, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    config.update(changes)
    with pytest.raises(ValueError, match=said):
        candidates.prepare(config, tmp_path)


def test_other_features_are_for_a_pool(config: ConfigDict, tmp_path: Path) -> None:
    config.model.features.name = "crops"
    (tmp_path / "crops").symlink_to(tmp_path / "features")
    with pytest.raises(ValueError, match="looks at features 'open', and a step has 'crops'"):
        candidates.prepare(config, tmp_path / "run")


def test_other_tasks_need_none(tmp_path: Path) -> None:
    assert candidates.prepare(toy.config("idgen"), tmp_path) == {}

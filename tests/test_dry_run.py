"""A dry run tells what a step takes, from shapes alone, of the very step that a run takes."""

import re
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from ofer_jax import dry_run, train
from tests import toy

TASKS = sorted(toy.TASKS)


def config_of(task: str) -> ConfigDict:
    config = toy.config(task)
    config.candidates = ConfigDict({"way": "pool", "pool": 7, "keep": 8})
    config.input.num_candidates = toy.CANDIDATES
    return config


def shapes_of(tree: Any) -> Any:
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


@pytest.mark.parametrize("task", TASKS)
def test_the_batch_is_like_one_of_the_data(task: str) -> None:
    batch = dry_run.batch_of(config_of(task), toy.head())
    made = next(toy.Batches(16)) | {"index": np.zeros(16, np.uint32)}
    if task != "idrank":
        del made["candidates"]
    assert shapes_of(batch) == shapes_of(made)


def test_crops_and_a_whole_pool() -> None:
    config = config_of("idrank")
    config.model.features = ConfigDict({"name": "crops"})
    config.input.num_candidates = 0
    batch = dry_run.batch_of(config, toy.head())
    assert batch["features"]["crop_224"].shape == (16, 224, 224, 3)
    assert batch["features"]["crop_112"].dtype == np.uint8
    assert batch["candidates"].shape == (16, 7, 8)


def figure(text: str, pattern: str) -> float:
    found = re.search(pattern.replace("#", r"([\d,.]+)"), text)
    assert found, text
    return float(found[1].replace(",", ""))


@pytest.mark.parametrize("mode", ["data", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_the_report_tells_of_the_step_that_runs(mode: str) -> None:
    config, constants = config_of("idgen"), toy.constants("idgen")
    config.mesh.mode = mode
    run = train.program(config, constants)
    text = dry_run.report(config, dry_run.batch_of(config, toy.head()), constants)
    assert text.startswith("idgen, 16 examples a step on 8 x cpu\n")
    count = sum(leaf.size for leaf in jax.tree.leaves(run.abstract.params))
    assert re.search(rf"in all +{count:,}$", text, re.M)
    held = sum(
        np.prod(leaf.sharding.shard_shape(leaf.shape), dtype=int) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(run.abstract)
    )
    assert figure(text, "arguments #") == pytest.approx(held / 1e6, abs=0.1)
    assert figure(text, "memory a device: # MB") > 0
    assert figure(text, "operations a step: # [kMG]FLOP, # [kMG]FLOP an") > 0
    assert "compiled for cpu in" in text
    assert ("whole on every device: " in text) == (mode == "fsdp")
    for platform in ("tpu", "cuda"):
        assert f"lowered for {platform}: " in text


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 "), (12.3, "12.3 "), (45678, "45.68 k"), (1.7636e12, "1.764 T")]
)
def test_numbers_are_short(number: float, told: str) -> None:
    assert dry_run._short(number) == told


def test_a_batch_that_devices_cannot_share_is_one_line_of_error() -> None:
    config = config_of("idgen")
    config.input.batch_size = 12
    with pytest.raises(ValueError, match=r"12.* 8"):
        dry_run.report(config, dry_run.batch_of(config, toy.head()), toy.constants("idgen"))

"""The TFDS data set: round trip, splits, content hash, errors; drawn by a fast stub."""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from data_pipelines import data_card, openhead_tfds, parallel, records
from ofer_jax import openhead

HEAD = {"name": "stub-head", "sha256": "0" * 64}
COUNTS = {"train": 5, "validation": 2, "test": 1}


def make(seed: int, subject: int) -> dict:
    """A smooth picture and random coefficients, as the real generator gives them."""
    rng = np.random.default_rng([seed, subject])
    ramp = np.linspace(0, 200, 224)[:, None, None] * rng.uniform(0.5, 1, 3)[None, None]
    image = np.broadcast_to(ramp, (224, 224, 3)).astype(np.uint8)
    mask = np.zeros((224, 224), bool)
    mask[60:100, 20 : 60 + subject] = True
    sizes = {name: size for name, (size, _) in records.VECTORS.items()}
    return {
        "image": image,
        "occluded": np.where(mask[..., None], np.uint8(90), image),
        "mask": mask,
        **{name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()},
        "landmarks": rng.uniform(0, 223, (68, 2)).astype(np.float32),
        "subject": np.int64(subject),
        "occluder": "band",
        "head": HEAD["name"],
    }


def fail(seed: int, subject: int) -> dict:
    if subject == 4:
        raise RuntimeError("no light")
    return make(seed, subject)


def build(out: pathlib.Path, **changes) -> dict:
    options = {"make": make, "head": HEAD, "counts": COUNTS, "seed": 3, "workers": 0}
    return openhead_tfds.build(out, **(options | changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("data") / "set"
    build(out)
    return out


def test_records_come_back_as_drawn(folder):
    train = records.open_split(folder, "train")
    assert len(train) == 5
    for index in (4, 0):
        found, drawn = train[index], make(3, 3 + index)
        assert found.keys() == drawn.keys()
        for name in (*records.VECTORS, "landmarks", "mask", "subject", "occluder", "head"):
            np.testing.assert_array_equal(found[name], drawn[name], err_msg=name)
        for name in ("image", "occluded"):
            assert found[name].dtype == np.uint8
            difference = np.abs(found[name].astype(int) - drawn[name].astype(int))
            assert difference.mean() < 1.5  # JPEG


def test_splits_share_no_subject(folder):
    splits = [records.open_split(folder, split) for split in records.SPLITS]
    subjects = [int(record["subject"]) for split in splits for record in split]
    assert subjects == list(range(8))


def test_a_larger_train_split_keeps_the_held_out_people():
    small = openhead_tfds.split_counts(100, 10, 5)
    large = openhead_tfds.split_counts(1000, 10, 5)
    assert {**small, "train": 985} == large
    assert openhead_tfds.split_counts(13000, 0.04, 0.04)["test"] == 520


@pytest.mark.parametrize("shares", [(50, 50), (-1, 0), (0.5, 0.6)])
def test_impossible_splits_are_refused(shares):
    with pytest.raises(ValueError, match="100 subjects"):
        openhead_tfds.split_counts(100, *shares)


def test_card_tells_the_content(folder):
    card = data_card.read(folder)
    assert card["counts"] == COUNTS
    assert card["head"] == HEAD
    assert card["content_hash"] == openhead_tfds.verify(folder)
    assert card["content_hash"] in (folder / "README.md").read_text()
    assert card["bytes"] > 10_000


def test_hash_depends_on_the_seed_not_on_workers_or_shards(folder, tmp_path, monkeypatch):
    expected = data_card.read(folder)["content_hash"]
    monkeypatch.setattr(records, "SHARD", 2)
    parallel_card = build(tmp_path / "a", workers=2)
    assert parallel_card["content_hash"] == expected
    assert len(list((tmp_path / "a").glob("*train*"))) == 3
    assert openhead_tfds.verify(tmp_path / "a") == expected
    assert build(tmp_path / "b", seed=4)["content_hash"] != expected


def test_same_data_set_is_left_alone_and_another_needs_overwrite(folder):
    before = (folder / "data_card.json").stat().st_mtime_ns
    build(folder)
    assert (folder / "data_card.json").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"seed 3 instead of 9.*--overwrite"):
        build(folder, seed=9)


def test_a_head_is_known_by_its_hash_alone(folder):
    told = {**HEAD, "release": "open-head-1"}  # which older cards do not record
    assert build(folder, head=told)["head"] == HEAD
    with pytest.raises(ValueError, match=r"holds another data set .*head"):
        build(folder, head={**HEAD, "sha256": "1" * 64})


def test_overwrite_replaces_a_data_set_but_no_other_folder(tmp_path):
    build(tmp_path / "a")
    card = build(tmp_path / "a", seed=5, overwrite=True)
    assert openhead_tfds.verify(tmp_path / "a") == card["content_hash"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match="holds no data set"):
        build(tmp_path / "b", overwrite=True)
    assert (tmp_path / "b" / "thesis.txt").exists()


def test_unwritable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written") as caught:
        build(tmp_path / "file" / "set")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failed_build_leaves_nothing(tmp_path, workers):
    with pytest.raises(RuntimeError, match="no light"):
        build(tmp_path / "set", make=fail, workers=workers)
    assert list(tmp_path.iterdir()) == []


def test_another_head_is_refused(tmp_path):
    with pytest.raises(ValueError, match="stub-head"):
        build(tmp_path / "set", head={"name": "other", "sha256": ""})
    assert list(tmp_path.iterdir()) == []


def test_reading_what_is_not_there(tmp_path, folder):
    with pytest.raises(ValueError, match="build_dataset"):
        records.open_split(tmp_path, "train")
    with pytest.raises(ValueError, match="no split 'all'"):
        records.open_split(folder, "all")
    (tmp_path / "data_card.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        data_card.read(tmp_path)


def test_digest_sees_every_field():
    record = make(0, 0)
    digest = openhead.digest(record)
    assert digest == openhead.digest(dict(reversed(record.items())))
    for name, value in record.items():
        changed = (
            value + "x" if isinstance(value, str) else value ^ 1 if name == "mask" else value + 1
        )
        assert openhead.digest(record | {name: changed}) != digest


def test_negative_workers_are_refused():
    with pytest.raises(ValueError, match="-1"):
        list(parallel.ordered_map(str, [1], -1))


def test_builds_and_reads_without_tensorflow(tmp_path):
    code = """
import sys
import time
from tests.data_pipelines import test_dataset
test_dataset.build(test_dataset.pathlib.Path(sys.argv[1]))
assert len(test_dataset.records.open_split(sys.argv[1], "train")) == 5
assert "tensorflow" not in sys.modules
"""
    root = pathlib.Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "set")]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert json.loads((tmp_path / "set" / "data_card.json").read_text())["seed"] == 3


def test_the_environment_of_workers_is_set_for_them_alone(monkeypatch):
    monkeypatch.setenv("NPROC", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with parallel.environment(parallel.ONE_THREAD):
        assert os.environ["NPROC"] == os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ["NPROC"] == "7" and "OMP_NUM_THREADS" not in os.environ


def slow(seed: int, subject: int) -> dict:
    time.sleep(0.2)
    return make(seed, subject)


def test_a_killed_build_leaves_no_data_set_and_no_workers(tmp_path):
    code = """
import sys
import time
from tests.data_pipelines import test_dataset as t
if __name__ == "__main__":
    counts = {"train": 500, "validation": 0, "test": 0}
    t.build(t.pathlib.Path(sys.argv[1]), make=t.slow, counts=counts, workers=1)
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    root = pathlib.Path(__file__).parents[2]
    out = tmp_path / "set"
    build_it = subprocess.Popen(
        [sys.executable, str(script), str(out)],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for _ in range(600):
        shards = list(tmp_path.glob(".set.incomplete/tfds/*/*/*array_record*"))
        if shards:
            break
        time.sleep(0.1)
    assert shards, "it never began to write"
    build_it.kill()
    # The workers hold the other ends of its output: it ends when the last of them has left.
    build_it.communicate(timeout=30)
    assert not out.exists()
    assert build(out)["counts"] == COUNTS
    assert {path.name for path in tmp_path.iterdir()} == {"set", "script.py"}

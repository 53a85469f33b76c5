"""Batches of several sets, of several encoders, of several occluded versions."""

import json
import pathlib

import jax
import numpy as np
import pytest

from data_pipelines import input as pipeline
from data_pipelines.input.ahead import Ahead
from data_pipelines.input.arrays import load_set
from ofer_jax import checkpoint, parts
from tests.batches import WIDTH, assert_equal, config, take, write_split

A, B = 12, 30


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Set a: 12 pictures of 4 people; set b: 30 of 5, numbered from 100 on, five versions each."""
    out = tmp_path_factory.mktemp("sets")
    write_split(out / "a", A, subjects=np.arange(A) // 3)
    write_split(out / "b", B, subjects=np.arange(B) % 5, start=100, variants=5)
    return out


def mixed(sets: pathlib.Path, first: str = ":3", second: str = ":1", **changes):
    directories = f"{sets / 'a'}{first},{sets / 'b'}{second}"
    return config(sets, **{"dir": directories, "images_per_subject": 4} | changes)


def number(batch: dict) -> np.ndarray:
    return np.floor(batch["features"][:, 0])


def test_rows_match_and_weights_hold(sets):
    batches = take(pipeline.make_train_iter(mixed(sets), seed=1), 40)
    for batch in batches:
        np.testing.assert_array_equal(batch["jaw"][:, 0], number(batch))
        row = batch["index"] % (A + B)
        np.testing.assert_array_equal(number(batch), np.where(row < A, row, row - A + 100))
    numbers = np.concatenate([number(batch) for batch in batches])
    assert (numbers >= 100).mean() == 0.25
    index = np.concatenate([batch["index"] for batch in batches])
    assert len(np.unique(index)) == len(index)


def test_without_weights_sets_are_as_one(sets):
    options = mixed(sets, "", "", batch_size=4)
    epoch = take(pipeline.make_train_iter(options, seed=1), 9)
    assert pipeline.epoch_size(options, "open") == 36
    assert sum(number(batch)[0] >= 100 for batch in epoch) == 5
    single = config(sets, dir=mixed(sets, "", "").dir)
    assert pipeline.epoch_size(single, "open") == A + B


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_a_run_goes_on_with_any_number_of_processes(sets, processes):
    whole = take(pipeline.make_train_iter(mixed(sets), seed=1), 9)
    found = []
    for place in range(processes):
        where = {"process_index": place, "process_count": processes}
        iterator = pipeline.make_train_iter(mixed(sets), seed=1, **where)
        iterator.set_state(json.loads(json.dumps(pipeline.state_at(5))))
        found.append(take(iterator, 4))
        assert iterator.get_state() == pipeline.state_at(9)
    for step, batch in enumerate(whole[5:]):
        rows = {
            name: np.stack([part[step][name] for part in found], axis=1).reshape(batch[name].shape)
            for name in batch
        }
        assert_equal([rows], [batch])


def test_a_checkpoint_goes_on_with_other_workers(sets, tmp_path):
    whole = pipeline.make_train_iter(mixed(sets), seed=1)
    ahead = pipeline.make_train_iter(mixed(sets, workers=2), seed=1)
    take(whole, 5)
    state = {"x": jax.device_put(np.ones(2, np.float32))}
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, state, whole)
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.restore(like, ahead)
    assert_equal(take(ahead, 4), take(whole, 4))
    assert ahead.get_state() == whole.get_state() == pipeline.state_at(9)
    ahead.close()


def test_batches_made_ahead_start_anew_where_they_are_told_to():
    iterator = Ahead(lambda step: {"step": step}, workers=0)
    assert [batch["step"] for batch in take(iterator, 3)] == [0, 1, 2]
    iterator.set_state(pipeline.state_at(7))
    assert next(iterator)["step"] == 7 and iterator.get_state() == pipeline.state_at(8)


def test_each_example_takes_one_of_its_occluded_versions(sets):
    options = config(sets / "b", occluded_share=1.0, batch_size=B)
    versions = np.zeros((40, B), int)
    for epoch, batch in enumerate(take(pipeline.make_train_iter(options, seed=1), 40)):
        shown = 64 * (batch["features"][:, 0] - 0.5 - batch["jaw"][:, 0])
        versions[epoch, batch["index"] % B] = np.round(shown)
    assert set(np.unique(versions)) == set(range(5))
    assert (np.bincount(versions.ravel()) > 180).all()  # 240 on average
    assert (versions != versions[0]).any(axis=0).all()
    everyone = pipeline.load_split(sets / "b", "train")["features_occluded"]
    assert everyone.shape == (B, WIDTH)
    np.testing.assert_array_equal(everyone[:, 0], 100.5 + np.arange(B))


def test_candidates_are_of_the_first_version(sets, tmp_path):
    for kind, offset in (("clean", 0), ("occluded", 0.5)):
        pool = 100 + offset + np.arange(B)[:, None, None] + np.zeros((B, 6, 4))
        parts.save(parts.files(tmp_path, f"train_{kind}", B)[0], pool)
    options = config(sets / "b", candidates=str(tmp_path), num_candidates=2, batch_size=B)
    batch = next(pipeline.make_train_iter(options, seed=1))
    np.testing.assert_array_equal(batch["candidates"][:, 0, 0], batch["features"][:, 0])


def test_held_out_sets_stand_one_after_another(sets):
    arrays = pipeline.load_split(mixed(sets).dir, "train")
    assert len(arrays["subject"]) == A + B and len(np.unique(arrays["subject"])) == 9
    rows = np.array([3, 40, 11, 12])
    np.testing.assert_array_equal(arrays["features_clean"][rows, ...][:, 0], [3, 128, 11, 100])
    np.testing.assert_array_equal(arrays["jaw"][rows, 0], [3, 128, 11, 100])
    meta = pipeline.read_meta(mixed(sets).dir, "train")
    assert meta["count"] == A + B and meta["width"] == WIDTH


def test_two_encoders_stand_side_by_side(tmp_path):
    write_split(tmp_path, A, "farl", variants=2)
    write_split(tmp_path, A, "arcface", variants=2, start=50)
    both = pipeline.read_meta(tmp_path, "train", "farl+arcface")
    assert (both["width"], both["features"]) == (2 * WIDTH, "farl+arcface")
    (batch,) = take(pipeline.make_train_iter(config(tmp_path), seed=1, features="farl+arcface"), 1)
    assert batch["features"].shape == (8, 2 * WIDTH)
    np.testing.assert_array_equal(batch["features"][:, 0] + 50, batch["features"][:, WIDTH])
    held_out = pipeline.load_split(tmp_path, "train", "farl+arcface")["features_occluded"]
    assert held_out.shape == (A, 2 * WIDTH)
    np.testing.assert_array_equal(held_out[2:4][:, [0, -1]], [[2.5, 52.5], [3.5, 53.5]])
    np.save(pipeline.folder(tmp_path, "train", "farl") / "subject.npy", np.arange(A)[::-1])
    with pytest.raises(ValueError, match="not of the same pictures"):
        load_set(str(tmp_path), "train", "farl+arcface", all_variants=True)


def test_sets_that_do_not_fit_are_refused(sets, tmp_path):
    write_split(tmp_path / "c", A, head="flame2023")
    directories = f"{sets / 'a'},{tmp_path / 'c'}"
    for read in (
        lambda: pipeline.make_train_iter(config(sets, dir=directories), seed=0),
        lambda: pipeline.load_split(directories, "train"),
    ):
        with pytest.raises(ValueError, match=r"/c was made with head 'flame2023'.*'toy'"):
            read()
    meta = pipeline.folder(tmp_path / "c", "train") / "meta.json"
    changed = json.loads(meta.read_text()) | {
        "width": 5,
        "head": {"name": "t", "sha256": "toy" * 4},
    }
    meta.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=r"has width 5 and .* 557"):
        pipeline.read_meta(directories, "train")


def test_sets_without_expressions_are_named(sets, tmp_path):
    assert pipeline.unexpressive(mixed(sets).dir, "train", "open") == []
    write_split(tmp_path, 4)
    where = pipeline.folder(tmp_path, "train") / "has_expression.npy"
    np.save(where, np.array([True, True, False, True]))
    assert pipeline.unexpressive(f"{sets / 'a'},{tmp_path}", "train", "open") == [str(tmp_path)]

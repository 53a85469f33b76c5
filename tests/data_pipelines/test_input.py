"""Training batches: what they hold, their order, their state, and how processes share them."""

import json
import pathlib
import time

import numpy as np
import pytest

from data_pipelines import input as pipeline
from ofer_jax import parts
from tests.batches import WIDTH, assert_equal, config, take, write_split

COUNT = 37


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A data set's features in which every number tells its example."""
    out = tmp_path_factory.mktemp("data")
    write_split(out, COUNT)
    for kind, offset in (("clean", 0), ("occluded", 0.5)):
        pool = np.arange(COUNT)[:, None, None] + offset + np.zeros((COUNT, 6, 4))
        path = parts.files(out, f"train_{kind}", COUNT)[0]
        parts.save(path, pool + 0.01 * np.arange(6)[:, None])
    return out


def test_a_batch_holds_matching_rows(folder):
    for batch in take(pipeline.make_train_iter(config(folder), seed=1), 20):
        example = batch["index"] % COUNT
        assert batch["features"].shape == (8, WIDTH) and batch["features"].dtype == np.float32
        assert batch["shape"].shape == (8, 300) and batch["expression"].shape == (8, 100)
        np.testing.assert_array_equal(batch["jaw"], np.repeat(example[:, None], 3, axis=1))
        np.testing.assert_array_equal(np.floor(batch["features"][:, 0]), example)
        assert batch["index"].dtype == np.int64


def test_each_epoch_sees_every_example_once_in_its_own_order(folder):
    iterator = pipeline.make_train_iter(config(folder, batch_size=1), seed=1)
    index = np.concatenate([batch["index"] for batch in take(iterator, 3 * COUNT)])
    epochs = index.reshape(3, COUNT)
    for epoch, row in enumerate(epochs):
        assert sorted(row) == list(range(epoch * COUNT, (epoch + 1) * COUNT))
    assert not np.array_equal(epochs[0], epochs[1] - COUNT)


def test_same_seed_same_batches_another_seed_others(folder):
    first = take(pipeline.make_train_iter(config(folder), seed=1), 12)
    assert_equal(first, take(pipeline.make_train_iter(config(folder), seed=1), 12))
    other = take(pipeline.make_train_iter(config(folder), seed=2), 1)
    assert not np.array_equal(first[0]["index"], other[0]["index"])


@pytest.mark.parametrize("steps", [0, 1, 9])
def test_state_restores_exactly(folder, steps):
    iterator = pipeline.make_train_iter(config(folder), seed=1)
    take(iterator, steps)
    state = json.loads(json.dumps(iterator.get_state()))
    assert state == pipeline.state_at(steps)
    expected = take(iterator, 7)
    fresh = pipeline.make_train_iter(config(folder), seed=1)
    take(fresh, 3)
    fresh.set_state(state)
    assert_equal(take(fresh, 7), expected)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_same_examples(folder, processes):
    options = config(folder, candidates=str(folder), num_candidates=2)
    whole = take(pipeline.make_train_iter(options, seed=1), 10)
    shares = [
        take(
            pipeline.make_train_iter(
                options, seed=1, process_index=number, process_count=processes
            ),
            10,
        )
        for number in range(processes)
    ]
    for step, batch in enumerate(whole):
        union = {name: np.concatenate([p[step][name] for p in shares]) for name in batch}
        order = np.argsort(union["index"])
        expected = np.argsort(batch["index"])
        for name in batch:
            np.testing.assert_array_equal(union[name][order], batch[name][expected])


def test_share_of_occluded_pictures(folder):
    def occluded(share: float) -> np.ndarray:
        iterator = pipeline.make_train_iter(config(folder, occluded_share=share), seed=1)
        return np.concatenate([batch["features"][:, 0] % 1 > 0 for batch in take(iterator, 250)])

    assert not occluded(0).any() and occluded(1).all()
    assert 0.27 < occluded(0.3).mean() < 0.33


def test_the_choice_of_picture_changes_from_epoch_to_epoch(folder):
    iterator = pipeline.make_train_iter(config(folder, batch_size=COUNT), seed=1)
    seen = np.zeros((8, COUNT), bool)
    for epoch, batch in enumerate(take(iterator, 8)):
        seen[epoch, batch["index"] % COUNT] = batch["features"][:, 0] % 1 > 0
    assert (seen.any(0) & ~seen.all(0)).mean() > 0.9


def test_candidates_follow_the_picture_and_vary_by_epoch(folder):
    options = config(folder, candidates=str(folder), num_candidates=3, batch_size=COUNT)
    first, second = take(pipeline.make_train_iter(options, seed=1), 2)
    for batch in (first, second):
        assert batch["candidates"].shape == (COUNT, 3, 4)
        np.testing.assert_array_equal(
            np.floor(2 * batch["candidates"][:, 0, 0]) / 2, batch["features"][:, 0]
        )
        assert all(len(np.unique(pool[:, 0])) == 3 for pool in batch["candidates"])
    picks = [
        np.round(100 * (b["candidates"][..., 0] % 0.5))[np.argsort(b["index"])]
        for b in (first, second)
    ]
    assert (picks[0] != picks[1]).any(axis=1).mean() > 0.9
    whole = config(folder, candidates=str(folder))
    assert next(pipeline.make_train_iter(whole, seed=1))["candidates"].shape == (8, 6, 4)


@pytest.mark.parametrize(("share", "kind"), [(0.0, "clean"), (1.0, "occluded")])
def test_pictures_that_are_never_shown_need_no_candidates(folder, tmp_path, share, kind):
    assert pipeline.kinds(share) == (kind,)
    name = parts.files(folder, f"train_{kind}", COUNT)[0].name
    (tmp_path / name).write_bytes((folder / name).read_bytes())
    options = config(folder, candidates=str(tmp_path), occluded_share=share, batch_size=COUNT)
    batch = next(pipeline.make_train_iter(options, seed=1))
    np.testing.assert_array_equal(batch["candidates"][:, 0, 0], batch["features"][:, 0])


def test_uniform_is_uniform_and_uncorrelated():
    draws = pipeline.uniform(0, np.arange(100_000))
    assert abs(draws.mean() - 0.5) < 0.005 and abs(draws.var() - 1 / 12) < 0.002
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.02
    assert abs(np.corrcoef(draws, pipeline.uniform(1, np.arange(100_000)))[0, 1]) < 0.02


# ---------------------------------------------------------------- crops


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A data set's crops: the first value tells the example, the second the kind."""
    out = tmp_path_factory.mktemp("crops")
    write_split(out, COUNT, "crops")
    for name, size in (("crop_112", 112), ("crop_224", 224)):
        for number, kind in enumerate(pipeline.KINDS):
            crops = np.full((COUNT, size, size, 3), size, np.uint8)
            crops[:, 0, 0, 0], crops[:, 0, 0, 1] = np.arange(COUNT), number
            np.save(pipeline.folder(out, "train", "crops") / f"{name}_{kind}.npy", crops)
    return out


def batches_of_crops(folder: pathlib.Path, steps: int, **options) -> list[dict]:
    iterator = pipeline.make_train_iter(config(folder), seed=1, features="crops", **options)
    return take(iterator, steps)


def test_a_batch_of_crops_holds_both_sizes_of_the_same_picture(pictures):
    seen = set()
    for batch in batches_of_crops(pictures, 20):
        example = batch["index"] % COUNT
        small, large = batch["features"]["crop_112"], batch["features"]["crop_224"]
        assert batch["features"].keys() == {"crop_112", "crop_224"}
        assert (small.shape, large.shape) == ((8, 112, 112, 3), (8, 224, 224, 3))
        assert small.dtype == large.dtype == np.uint8
        np.testing.assert_array_equal(small[:, 0, 0, 0], example)
        np.testing.assert_array_equal(small[:, 0, 0, :2], large[:, 0, 0, :2])
        np.testing.assert_array_equal(batch["jaw"][:, 0], example)
        seen |= set(zip(example.tolist(), small[:, 0, 0, 1].tolist(), strict=True))
    assert len(seen) > COUNT  # of many pictures, the clean and the occluded one


def test_crops_and_features_come_in_the_same_order(folder, pictures):
    features = take(pipeline.make_train_iter(config(folder), seed=1), 10)
    for crops, plain in zip(batches_of_crops(pictures, 10), features, strict=True):
        np.testing.assert_array_equal(crops["index"], plain["index"])
        occluded = crops["features"]["crop_112"][:, 0, 0, 1]
        np.testing.assert_array_equal(occluded, plain["features"][:, 0] % 1 > 0)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_same_crops(pictures, processes):
    share = {"process_count": processes}
    shares = [
        batches_of_crops(pictures, 6, process_index=number, **share) for number in range(processes)
    ]
    for step, batch in enumerate(batches_of_crops(pictures, 6)):
        order = np.argsort(np.concatenate([part[step]["index"] for part in shares]))
        expected = np.argsort(batch["index"])
        for name, crops in batch["features"].items():
            union = np.concatenate([part[step]["features"][name] for part in shares])
            np.testing.assert_array_equal(union[order], crops[expected])


def test_a_run_on_crops_goes_on_where_it_stopped(pictures):
    iterator = pipeline.make_train_iter(config(pictures), seed=1, features="crops")
    iterator.set_state(pipeline.state_at(5))
    expected = batches_of_crops(pictures, 7)[5:]
    for batch, other in zip(take(iterator, 2), expected, strict=True):
        np.testing.assert_array_equal(batch["index"], other["index"])
        assert_equal([batch["features"]], [other["features"]])


def test_crops_stay_on_disk_until_asked_for(pictures):
    arrays = pipeline.load_split(pictures, "train", "crops")
    for kind in pipeline.KINDS:
        for crops in arrays[f"features_{kind}"].values():
            assert isinstance(crops.base, np.memmap)
            assert not crops.flags.writeable


def test_faults_of_crops_are_named(folder, pictures):
    with pytest.raises(ValueError, match=r"no crops of the split 'train'.*--features crops"):
        pipeline.load_split(folder, "train", "crops")
    with pytest.raises(ValueError, match="no features of the split 'train'"):
        pipeline.load_split(pictures, "train")


def test_faults_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match="no features of the split 'test'"):
        pipeline.load_split(folder, "test")
    with pytest.raises(ValueError, match="batch of 8 cannot be shared by 3"):
        pipeline.make_train_iter(config(folder), seed=0, process_count=3)
    with pytest.raises(ValueError, match=r"occluded_share is 1\.5"):
        pipeline.make_train_iter(config(folder, occluded_share=1.5), seed=0)
    write_split(tmp_path, 5)
    np.save(pipeline.folder(tmp_path, "train") / "jaw.npy", np.zeros((4, 3)))
    with pytest.raises(ValueError, match="'jaw': 4"):
        pipeline.load_split(tmp_path, "train")
    (pipeline.folder(tmp_path, "train") / "jaw.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"jaw\.npy cannot be read"):
        pipeline.load_split(tmp_path, "train")
    with pytest.raises(ValueError, match=r"candidates of .*5"):
        write_split(tmp_path / "b", 5)
        pipeline.make_train_iter(config(tmp_path / "b", candidates=str(folder)), seed=0)


def test_a_batch_of_256_is_fast(tmp_path):
    write_split(tmp_path, 2000)
    iterator = pipeline.make_train_iter(config(tmp_path, batch_size=256), seed=0)
    take(iterator, 20)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        next(iterator)
        times.append(time.perf_counter() - start)
    assert np.median(times) < 3e-3

"""The crop pass on the tiny data set: what the crops show, rejections, resuming, memory."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from data_pipelines import crop_pass, data_card, finished, npz, raw_pass, records
from data_pipelines import input as pipeline
from ofer_jax import faces
from tests import squares

SIZES = {"crop_112": 112, "crop_224": 224}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(raw_pass, "PART", 4)


def run(folder: pathlib.Path, workers: int = 0, faces=squares.stub_faces) -> dict:
    return crop_pass.run(folder, faces=faces, workers=workers)


def test_crops_are_those_of_the_records_pictures(folder):
    metas = run(folder)
    assert [meta["count"] for meta in metas.values()] == [6, 2, 1]
    arrays = pipeline.load_split(folder, "train", "crops")
    assert arrays["subject"].tolist() == [5, 7, 8, 9, 10, 12]
    kept = [r for r in records.open_split(folder, "train") if r["subject"] in arrays["subject"]]
    for name in pipeline.COEFFICIENTS:
        np.testing.assert_array_equal(arrays[name], [record[name] for record in kept])
    for kind, picture in (("clean", "image"), ("occluded", "occluded")):
        for name, size in SIZES.items():
            found = arrays[f"features_{kind}"][name]
            assert (found.shape, found.dtype) == ((6, size, size, 3), np.uint8)
            cut = getattr(faces, name)
            np.testing.assert_array_equal(found, [cut(r[picture], squares.face()) for r in kept])
            stored = np.load(folder / "crops" / "train" / f"{name}_{kind}.npy", mmap_mode="r")
            np.testing.assert_array_equal(found, stored)


def test_colours_are_red_green_blue(folder):
    """The occluder is red: the first channel is the one that it raises."""
    run(folder)
    arrays = pipeline.load_split(folder, "train", "crops")
    for name, size in SIZES.items():
        upper = arrays["features_occluded"][name][:, size // 3, size // 2]
        assert (upper[:, 0] > 50).all() and (upper[:, 1:] < 20).all()


def test_rejected_pairs_are_named_and_counted(folder):
    metas = run(folder)
    assert metas["train"]["rejected"] == {"clean: not on the face": 1, "occluded: no face": 2}
    text = (folder / "crops" / "train" / "rejected.jsonl").read_text()
    assert [json.loads(line)["subject"] for line in text.splitlines()] == [4, 6, 11]
    assert "train: 6 of 9 pairs (66.7%), crops; rejected: 1 clean" in finished.summary(metas)


def test_meta_names_head_and_data(folder):
    run(folder)
    meta = pipeline.read_meta(folder, "test", "crops")
    assert (meta["head"], meta["features"], meta["projection"]) == (squares.HEAD, "crops", "")
    assert meta["content_hash"] == data_card.read(folder)["content_hash"]
    assert (meta["count"], meta["pairs"]) == (1, 2)
    with pytest.raises(ValueError, match=r"no features of the split 'test'.*--features open"):
        pipeline.read_meta(folder, "test")


def test_a_killed_pass_goes_on_where_it_stopped(folder, tmp_path):
    expected = run(shutil.copytree(folder, tmp_path / "whole"))
    squares.LOOKED_AT.clear()

    with pytest.raises(squares.Killed):
        run(folder, faces=squares.dies_at_the_third_part)
    assert not (folder / "crops" / "train").exists()
    assert len(list(folder.glob("crops/raw/train/part-*.npz"))) == 2
    assert run(folder) == expected
    assert squares.LOOKED_AT == [8, 8, 2, 4, 4]
    assert sorted(path.name for path in (folder / "crops").iterdir()) == sorted(expected)
    for file in (tmp_path / "whole" / "crops").rglob("*.npy"):
        again = folder / file.relative_to(tmp_path / "whole")
        np.testing.assert_array_equal(np.load(file), np.load(again))


def test_only_a_split_that_is_missing_is_made_again(folder):
    expected = run(folder)
    squares.LOOKED_AT.clear()
    assert run(folder) == expected and squares.LOOKED_AT == []
    shutil.rmtree(folder / "crops" / "validation")
    assert run(folder) == expected and squares.LOOKED_AT == [4]


def test_crops_of_another_data_set_are_made_again(folder):
    expected = run(folder)
    meta = folder / "crops" / "test" / "meta.json"
    meta.write_text(json.dumps(expected["test"] | {"content_hash": "x"}))
    squares.LOOKED_AT.clear()
    assert run(folder) == expected and squares.LOOKED_AT == [4]


def test_workers_change_nothing(folder):
    run(folder)
    before = pipeline.load_split(folder, "train", "crops")["features_occluded"]
    before = {name: array.copy() for name, array in before.items()}
    shutil.rmtree(folder / "crops")
    run(folder, workers=2)
    after = pipeline.load_split(folder, "train", "crops")["features_occluded"]
    for name, array in after.items():
        np.testing.assert_array_equal(array, before[name])


def test_crops_are_put_together_a_part_at_a_time(folder, monkeypatch):
    """No more than one part's pictures of one array are ever read."""
    sizes = []
    load = npz.load

    def watched(path: pathlib.Path, names=None) -> dict:
        arrays = load(path, names)
        sizes.append(sum(array.nbytes for array in arrays.values()))
        return arrays

    monkeypatch.setattr(npz, "load", watched)
    run(folder)
    assert 0 < max(sizes) <= 4 * 224 * 224 * 3


def test_no_face_at_all_is_an_error(tmp_path):
    squares.build(tmp_path / "set", train=1, validation=0, test=1)
    with pytest.raises(ValueError, match="no face in any pair of the split"):
        run(tmp_path / "set")

"""The feature pass on a tiny data set, with stub networks: rejections, resuming, projecting."""

import json
import pathlib
import shutil
import types

import numpy as np
import pytest

from data_pipelines import augment, data_card, feature_pass, finished, npz, raw_pass, records
from data_pipelines import input as pipeline
from tests import squares


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(raw_pass, "PART", 4)


def run(folder: pathlib.Path, **changes) -> dict:
    options = {"faces": squares.stub_faces, "projection": folder / "p.npz", "fit": 4, "workers": 0}
    return feature_pass.run(folder, **(options | changes))


def test_features_lie_beside_their_coefficients(folder):
    metas = run(folder)
    assert [meta["count"] for meta in metas.values()] == [6, 2, 1]
    arrays = pipeline.load_split(folder, "train")
    assert arrays["subject"].tolist() == [5, 7, 8, 9, 10, 12]
    assert arrays["features_clean"].shape == (6, 2)
    assert arrays["features_clean"].dtype == np.float32
    kept = [r for r in records.open_split(folder, "train") if r["subject"] in arrays["subject"]]
    for name in ("shape", "expression", "jaw", "eyes", "neck", "global_rotation", "occluder"):
        np.testing.assert_array_equal(arrays[name], [record[name] for record in kept])
    for kind, picture in (("clean", "image"), ("occluded", "occluded")):
        level = [record[picture].mean() / 255 for record in kept]
        np.testing.assert_allclose(arrays[f"features_{kind}"][:, 1], level, rtol=1e-5)
    config = types.SimpleNamespace(dir=folder, batch_size=3)
    assert next(pipeline.make_train_iter(config, seed=0))["features"].shape == (3, 2)


def test_the_whole_map_follows_the_features_where_it_is_asked_for(folder):
    run(folder)
    open_, both = (pipeline.load_split(folder, "train", name) for name in ("open", "open+map"))
    meta = pipeline.read_meta(folder, "train", "open+map")
    assert meta["width"] == 2 + 16 and meta["features"] == "open+map"
    assert meta["projection"] == pipeline.read_meta(folder, "train")["projection"]
    for kind in pipeline.KINDS:
        rows, few = both[f"features_{kind}"][:3], open_[f"features_{kind}"][:3]
        assert rows.shape == (3, 18) and rows.dtype == np.float32
        np.testing.assert_array_equal(rows[:, :2], few)
        # the stub's map is its brightness sixteen times over, and so is its first feature
        np.testing.assert_allclose(rows[:, 2:], few[:, :1].repeat(16, 1), atol=0.1)
    config = types.SimpleNamespace(dir=folder, batch_size=3)
    batch = next(pipeline.make_train_iter(config, seed=0, features="open+map"))
    assert batch["features"].shape == (3, 18)


def test_features_without_the_map_are_made_again(folder):
    run(folder)
    path = pipeline.folder(folder, "train") / "meta.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "map"})
    )
    with pytest.raises(ValueError, match="has no features of the split 'train'"):
        pipeline.read_meta(folder, "train", "open+map")
    assert run(folder)["train"]["map"] == 16


def test_rejected_pairs_are_named_and_counted(folder):
    metas = run(folder)
    assert metas["train"]["rejected"] == {"clean: not on the face": 1, "occluded: no face": 2}
    assert metas["train"]["pairs"] == 9
    text = (pipeline.folder(folder, "train") / "rejected.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["subject"] for line in lines] == [4, 6, 11]
    assert lines[1] == {"subject": 6, "occluder": "hood", "clean": "", "occluded": "no face"}
    summary = finished.summary(metas)
    assert "train: 6 of 9 pairs (66.7%), 2 features" in summary and "validation" in summary


def test_meta_names_head_data_and_projection(folder):
    run(folder)
    meta = pipeline.read_meta(folder, "test")
    assert meta["head"] == squares.HEAD and meta["features"] == "open"
    assert meta["content_hash"] == data_card.read(folder)["content_hash"]


def test_a_rerun_skips_finished_parts(folder):
    expected = run(folder, keep_raw=True)
    parts = sorted(folder.glob("features/raw/*/part-*.npz"))
    assert len(parts) == 5 and squares.LOOKED_AT == [8, 8, 2, 4, 4]
    parts[1].unlink()
    squares.LOOKED_AT.clear()
    assert run(folder) == expected
    assert len(squares.LOOKED_AT) == 1
    assert not (folder / "features" / "raw").exists()


def test_finished_features_are_left_alone(folder):
    expected = run(folder)
    squares.LOOKED_AT.clear()
    assert run(folder, fit=0) == expected
    assert squares.LOOKED_AT == []
    npz.save(folder / "q.npz", {"mean": np.ones(1, np.float32)})
    changed = run(folder, fit=0, projection=folder / "q.npz")
    assert changed["train"]["projection"] != expected["train"]["projection"]


def test_workers_change_nothing(folder):
    run(folder)
    expected = {name: a.copy() for name, a in pipeline.load_split(folder, "train").items()}
    shutil.rmtree(folder / "features")
    run(folder, workers=2)
    for name, array in pipeline.load_split(folder, "train").items():
        np.testing.assert_array_equal(array, expected[name])


def test_parts_of_another_data_set_are_dropped(folder):
    run(folder, keep_raw=True)
    marker = folder / "features" / "raw" / "of.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"content_hash": "x"}))
    squares.LOOKED_AT.clear()
    run(folder)
    assert len(squares.LOOKED_AT) == 5


def test_projection_is_fitted_on_both_kinds_of_the_first_pairs(folder):
    run(folder, fit=4)
    basis = feature_pass.load_projection(folder / "p.npz")
    assert basis["count"] == 8
    train = list(records.open_split(folder, "train"))
    first = [r for r in train if r["subject"] in (5, 7, 8, 9)]
    levels = [record[name].mean() for record in first for name in ("image", "occluded")]
    np.testing.assert_allclose(basis["mean"], np.mean(levels), rtol=1e-4)


def blank_every_second(rng, image, landmarks, settings):
    """In place of `augment.occlude`: a darker picture, or one without a face."""
    blank = rng.uniform() < 0.5
    kind = "blank" if blank else "shade"
    return (image // 4 if blank else image - 3), np.ones((2, 2), bool), kind


def test_variants_of_the_train_split(folder, monkeypatch):
    plain = run(folder)
    own = {name: array.copy() for name, array in pipeline.load_split(folder, "train").items()}
    monkeypatch.setattr(augment, "occlude", blank_every_second)
    metas = run(folder, fit=0, variants=4)
    assert metas["train"]["variants"] == {"count": 4, "strength": 1.0, "seed": 0}
    assert metas["test"] == plain["test"]
    where = pipeline.folder(folder, "train")
    arrays = {path.stem: np.load(path) for path in where.glob("*.npy")}
    features, kinds = arrays["features_occluded"], arrays["occluder"]
    assert features.shape == (7, 4, 2) and kinds.shape == (7, 4)
    # Subject 4 shows no clean face; one of 6 and 11 is kept for the variants that show one.
    assert {5, 7, 8, 9, 10, 12} < set(arrays["subject"].tolist()) < {5, 6, 7, 8, 9, 10, 11, 12}
    same = np.isin(arrays["subject"], own["subject"])
    np.testing.assert_array_equal(features[same, 0], own["features_occluded"])
    np.testing.assert_array_equal(kinds[same, 0], own["occluder"])
    np.testing.assert_array_equal(arrays["features_clean"][same], own["features_clean"])
    assert set(kinds.ravel()) == {"hat", "shade"}  # a variant without a face gave way
    shade = arrays["features_clean"][:, None, 1] - 3 / 255
    np.testing.assert_allclose(
        np.where(kinds == "shade", features[..., 1] - shade, 0), 0, atol=0.01
    )
    squares.LOOKED_AT.clear()
    run(folder, fit=0, variants=4)
    assert squares.LOOKED_AT == []


def test_without_a_projection_it_says_what_to_do(folder):
    with pytest.raises(ValueError, match="--fit_projection"):
        run(folder, fit=0)
    assert squares.LOOKED_AT == []


def test_no_face_at_all_is_an_error(tmp_path):
    squares.build(tmp_path / "set", train=1, validation=0, test=1)
    with pytest.raises(ValueError, match="no face in any pair of the train split"):
        run(tmp_path / "set")

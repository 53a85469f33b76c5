"""Features of the published encoders of the tiny data set: those of its crops, resuming, mixing."""

import pathlib
import shutil

import numpy as np
import pytest

from data_pipelines import augment, crop_pass, encoder_pass, finished, pairs, raw_pass
from data_pipelines import input as pipeline
from ofer_jax import encoders
from tests import squares


class Brightness(encoders.Encoder):
    """In place of a network: the mean of each third of the crop's rows, and their number."""

    def __call__(self, crops):
        thirds = np.stack([part.mean((1, 2, 3)) for part in np.array_split(crops, 3, axis=1)], 1)
        size = np.full((len(crops), 1), crops.shape[1])
        return np.concatenate([thirds, size], axis=1).astype(np.float32)


def made(name: str, sha256: str = "a") -> Brightness:
    return Brightness(name, {"out_dim": 4}, f"{name}.pth", sha256, {})


BOTH = (made("arcface"), made("farl"))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(encoder_pass, "PICTURES", 8)


def run(folder, wanted=BOTH, faces=squares.stub_faces, workers=0, **more):
    return encoder_pass.run(folder, wanted, faces=faces, workers=workers, **more)


def test_features_are_those_of_the_crops(folder):
    metas = run(folder)
    crop_pass.run(folder, faces=squares.stub_faces, workers=0)
    for encoder, crop in zip(BOTH, pipeline.CROPS, strict=True):
        arrays = pipeline.load_split(folder, "train", encoder.name)
        crops = pipeline.load_split(folder, "train", "crops")
        for kind in pipeline.KINDS:
            wanted = encoder(crops[f"features_{kind}"][crop])
            np.testing.assert_array_equal(arrays[f"features_{kind}"], wanted)
        for name in pipeline.COEFFICIENTS:
            np.testing.assert_array_equal(arrays[name], crops[name])
        assert (arrays["features_clean"][:, -1] == (112 if crop == "crop_112" else 224)).all()
    assert [meta["count"] for meta in metas.values()] == [6, 2, 1] * 2
    assert "farl test: 1 of 2 pairs (50.0%), 4 features; rejected: 1 " in finished.summary(metas)


def test_meta_names_the_encoder_and_not_its_folder(folder):
    meta = run(folder)["arcface train"]
    assert meta["features"] == "arcface" and meta["projection"] == BOTH[0].digest
    assert meta["encoder"] == {"file": "arcface.pth", "sha256": "a", "settings": {"out_dim": 4}}


def test_features_of_another_encoder_are_made_again(folder):
    before = run(folder)
    squares.LOOKED_AT.clear()
    assert run(folder) == before and not squares.LOOKED_AT
    after = run(folder, (made("arcface", "b"), BOTH[1]))
    assert squares.LOOKED_AT and after["arcface train"]["projection"] != BOTH[0].digest
    assert after["farl train"] == before["farl train"]


def test_features_of_other_occluders_are_made_again(folder, monkeypatch):
    def occlude(rng, picture, landmarks, settings):
        return picture // 2 + 60, None, "drawn"

    monkeypatch.setattr(augment, "occlude", occlude)
    before = run(folder, BOTH[:1])
    after = run(folder, BOTH[:1], variants=2)
    assert after["arcface train"]["variants"]["count"] == 2
    shapes = {name: (meta["count"], 2, 4) for name, meta in after.items()}
    for name, shape in shapes.items():
        split = name.split()[1]
        path = folder / "features_arcface" / split / "features_occluded.npy"
        assert np.load(path).shape == (shape if split == "train" else (shape[0], 4))
    assert run(folder, BOTH[:1]) == before


def test_a_killed_pass_goes_on_where_it_stopped(folder):
    with pytest.raises(squares.Killed):
        run(folder, faces=squares.dies_at_the_third_part)
    assert not list(folder.glob("features_*/train")) and squares.LOOKED_AT == [8, 8]
    assert len(list(folder.glob("features_*/raw/train/part-*.npz"))) == 4
    run(folder)
    assert squares.LOOKED_AT == [8, 8, 2, 4, 4]  # pictures of the parts that were missing
    assert {path.name for path in folder.glob("features_*/*")} == {"train", "validation", "test"}


def test_workers_change_nothing(folder):
    run(folder, BOTH[:1])
    before = np.load(folder / "features_arcface/train/features_occluded.npy")
    shutil.rmtree(folder / "features_arcface")
    run(folder, BOTH[:1], workers=2)
    after = np.load(folder / "features_arcface/train/features_occluded.npy")
    np.testing.assert_array_equal(before, after)


def face(number: int) -> dict:
    """A pair of a `faces` set: flat crops, landmarks of an upright face."""
    rng = np.random.default_rng(number)
    spread = rng.uniform(60, 160, (68, 2))
    sides = {f"crop_{side}": side for side in (112, 224)}
    pictures = {n: rng.integers(90, 160, (s, s, 3), dtype=np.uint8) for n, s in sides.items()}
    sizes = {"shape": 300, "expression": 100, "jaw": 3, "neck": 3, "eyes": 6, "global_rotation": 3}
    return {
        **pictures,
        **{name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()},
        **{"landmarks": spread.astype(np.float32), "to_112": np.eye(2, 3, dtype=np.float32) / 2},
        **{"subject": np.int64(number // 2), "number": number, "has_expression": number % 2 == 0},
    }


@pytest.mark.parametrize(("split", "variants"), [("train", 3), ("test", 1)])
def test_crops_of_a_faces_set_are_its_own_and_are_hidden_here(monkeypatch, split, variants):
    monkeypatch.setattr(pairs, "open_split", lambda *_: [face(n) for n in range(4)])
    seen = raw_pass.Variants(3)
    cut = encoder_pass.Cut(pathlib.Path(), "faces", pipeline.CROPS, seen, squares.stub_faces)
    arrays = encoder_pass._cut(encoder_pass.Job(split, range(1, 3), "part"), cut=cut)
    assert arrays["subject"].tolist() == [0, 1]
    assert arrays["has_expression"].tolist() == [False, True]
    clean = np.stack([face(number)["crop_224"] for number in (1, 2)])
    np.testing.assert_array_equal(arrays["clean_crop_224"], clean)
    shape = (2, variants)[: 1 + (variants > 1)]
    for size in (112, 224):
        hidden = arrays[f"occluded_crop_{size}"]
        assert hidden.shape == (*shape, size, size, 3)
    changed = arrays["occluded_crop_224"].reshape(2, -1, *clean.shape[1:]) != clean[:, None]
    assert changed.any((2, 3, 4)).all() and arrays["occluder"].shape == shape
    again = encoder_pass._cut(encoder_pass.Job(split, range(2, 3), "part"), cut=cut)
    np.testing.assert_array_equal(again["occluded_crop_112"][0], arrays["occluded_crop_112"][1])
    assert encoder_pass._features(BOTH[1], arrays)["features_occluded"].shape == (*shape, 4)

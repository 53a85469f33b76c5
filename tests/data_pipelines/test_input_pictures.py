"""Batches straight from the records of real pictures: the same with any number of workers."""

import json
import pathlib

import numpy as np
import pytest

from data_pipelines import augment
from data_pipelines import input as pipeline
from ofer_jax import parts
from tests import set_of_faces
from tests.batches import assert_equal, config, take, write_split

COUNT = 10
SUBJECTS = np.arange(COUNT) // 4  # 4, 4 and 2 pictures


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Ten pictures of three people to train on; three held out, of which one has no expression."""
    out = tmp_path_factory.mktemp("records") / "faces"
    train = [set_of_faces.face(n, s) for n, s in enumerate(SUBJECTS.tolist())]
    held_out = [set_of_faces.face(20 + n, n, n != 1) for n in range(3)]
    set_of_faces.write(out, {"train": train, "validation": held_out})
    return out


def iterator(faces: pathlib.Path, workers: int = 0, **changes):
    place = {name: changes.pop(name) for name in list(changes) if name.startswith("process")}
    options = config(faces, images_per_subject=4, workers=workers, **changes)
    return pipeline.make_train_iter(options, seed=1, features="crops", **place)


def test_a_batch_holds_four_pictures_of_each_subject(faces):
    for batch in take(iterator(faces, occluded_share=0.0), 3):
        assert set(batch) == {"features", "shape", "expression", "jaw", "index"}
        example = batch["index"] % COUNT
        np.testing.assert_array_equal(batch["jaw"][:, 0], example)
        visits = SUBJECTS[example].reshape(2, 4)
        assert (visits == visits[:, :1]).all()
        assert batch["features"]["crop_112"].shape == (8, 112, 112, 3)
        assert batch["features"]["crop_224"].dtype == np.uint8
        assert batch["shape"].shape == (8, 300) and batch["expression"].shape == (8, 100)
        small, large = (batch["features"][n].astype(float) for n in pipeline.CROPS)
        assert np.abs(small - large[:, ::2, ::2]).max() < 12  # of the same picture


def test_what_hides_a_picture_is_drawn_by_its_index(faces):
    clean, hidden = (
        take(iterator(faces, occluded_share=s, augment={"kinds": ("cut-out",)}), 3) for s in (0, 1)
    )
    seen = {}
    for bare, batch in zip(clean, hidden, strict=True):
        np.testing.assert_array_equal(bare["index"], batch["index"])
        for name in pipeline.CROPS:
            changed = (bare["features"][name] != batch["features"][name]).any(axis=(1, 2, 3))
            assert changed.all()
        for index, crop in zip(batch["index"], batch["features"]["crop_224"], strict=True):
            seen.setdefault(index % COUNT, []).append(crop)
    again = next(crops for crops in seen.values() if len(crops) > 1)
    assert (again[0] != again[1]).any()  # another thing at another time
    first = hidden[0]
    record = set_of_faces.face(int(first["index"][0] % COUNT), 0)
    settings = augment.Settings(1.0, 1.0, ("cut-out",))
    rng = augment.rng(1, int(first["index"][0]))
    expected = augment.occlude(
        rng, clean[0]["features"]["crop_224"][0], record["landmarks"], settings
    )
    np.testing.assert_array_equal(first["features"]["crop_224"][0], expected[0])


def test_workers_and_processes_change_nothing(faces):
    whole = take(iterator(faces), 6)
    ahead = iterator(faces, workers=2)
    ahead.set_state(json.loads(json.dumps(pipeline.state_at(2))))
    assert_equal(take(ahead, 3), whole[2:5])
    assert ahead.get_state() == pipeline.state_at(5)
    ahead.close()
    halves = [iterator(faces, process_index=p, process_count=2) for p in range(2)]
    first = [next(half) for half in halves]
    assert_equal(
        [{"index": np.stack([h["index"] for h in first], axis=1).reshape(-1)}],
        [{"index": whole[0]["index"]}],
    )
    np.testing.assert_array_equal(
        first[1]["features"]["crop_224"], whole[0]["features"]["crop_224"][1::2]
    )


def test_records_mix_with_the_crop_pass(faces, tmp_path):
    other = tmp_path / "crops"
    write_split(other, 6, "crops")
    for name, side in (("crop_112", 112), ("crop_224", 224)):
        for kind in pipeline.KINDS:
            path = pipeline.folder(other, "train", "crops") / f"{name}_{kind}.npy"
            np.save(path, np.full((6, side, side, 3), 7, np.uint8))
    meta = pipeline.folder(other, "train", "crops") / "meta.json"
    found = json.loads(meta.read_text())
    del found["width"]
    meta.write_text(json.dumps(found))
    batch = next(iterator(faces, dir=f"{faces}:1,{other}:1"))
    stored = (batch["features"]["crop_224"] == 7).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(stored, [False] * 4 + [True] * 4)


def test_held_out_pictures_are_read_when_asked_for_and_hidden_alike(faces):
    first, second = (pipeline.load_split(faces, "validation", "crops") for _ in range(2))
    np.testing.assert_array_equal(first["jaw"][:, 0], [20, 21, 22])
    np.testing.assert_array_equal(first["subject"], [0, 1, 2])
    clean, hidden = (first[f"features_{kind}"]["crop_224"] for kind in pipeline.KINDS)
    assert clean.shape == hidden.shape == (3, 224, 224, 3)
    assert (clean[:] != hidden[:]).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(hidden[1:], second["features_occluded"]["crop_224"][1:])
    np.testing.assert_array_equal(clean[np.array([2, 0])], clean[:][[2, 0]])


def test_pictures_with_candidates_are_hidden_as_when_those_were_drawn(faces, tmp_path):
    for kind in pipeline.KINDS:
        pool = np.zeros((COUNT, 2, 4)) + np.arange(COUNT)[:, None, None]
        parts.save(parts.files(tmp_path, f"train_{kind}", COUNT)[0], pool)
    batch = next(iterator(faces, candidates=str(tmp_path), occluded_share=1.0))
    example = batch["index"] % COUNT
    np.testing.assert_array_equal(batch["candidates"][:, 0, 0], example)
    seen = pipeline.load_split(faces, "train", "crops")["features_occluded"]["crop_112"]
    np.testing.assert_array_equal(batch["features"]["crop_112"], seen[example])


def test_what_is_known_before_reading(faces, tmp_path):
    meta = pipeline.read_meta(faces, "train", "crops")
    assert (meta["count"], meta["features"], meta["head"]) == (10, "crops", set_of_faces.HEAD)
    card = json.loads((faces / "data_card.json").read_text()) | {"dataset": "stirling"}
    (tmp_path / "data_card.json").write_text(json.dumps(card))
    assert pipeline.sets(f"{faces}:1,{tmp_path}:2") == ["stirling"]
    assert pipeline.epoch_size(config(faces, images_per_subject=4), "crops") == 12
    assert pipeline.unexpressive(faces, "train", "crops") == []
    assert pipeline.unexpressive(faces, "validation", "crops") == [str(faces)]
    with pytest.raises(ValueError, match="no split 'test'"):
        pipeline.read_meta(faces, "test", "crops")
    other = tmp_path / "other"
    set_of_faces.write(other, {"train": [set_of_faces.face(0, 0)]}, {"name": "b", "sha256": "b"})
    with pytest.raises(ValueError, match=r"other was made with head 'b'.*'toy'"):
        iterator(faces, dir=f"{faces},{other}")
    (other / "rows_train.npz").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"rows_train\.npz cannot be read"):
        pipeline.epoch_size(config(other), "crops")

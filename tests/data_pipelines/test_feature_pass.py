"""The feature pass on a tiny data set, with stub networks: rejections, resuming, projecting."""

import dataclasses
import json
import pathlib
import shutil
import types

import numpy as np
import pytest

from data_pipelines import data_card, feature_pass, openhead_tfds, raw_pass, records
from data_pipelines import input as pipeline

HEAD = {"name": "stub-head", "sha256": "0" * 64}
COUNTS = {"train": 9, "validation": 2, "test": 2}
LOOKED_AT: list[int] = []  # pictures the stub detector has seen in this process


def make(seed: int, subject: int) -> dict:
    """A bright square on grey, its number in the brightness; every fifth occluder hides it."""
    rng = np.random.default_rng([seed, subject])
    image = np.full((224, 224, 3), 40, np.uint8)
    image[60:160, 60:160] = 100 + 4 * subject
    mask = np.zeros((224, 224), bool)
    mask[60:110, 60:160] = True
    mask[60:160] |= subject % 5 == 1
    sizes = {name: size for name, (size, _) in records.VECTORS.items()}
    shift = 90 if subject == 4 else 0
    return {
        "image": image,
        "occluded": np.where(mask[..., None], np.uint8(40), image),
        "mask": mask,
        **{name: rng.normal(size=size).astype(np.float32) for name, size in sizes.items()},
        "landmarks": (np.array([[60, 60]] * 34 + [[160, 160]] * 34) - shift).astype(np.float32),
        "subject": np.int64(subject),
        "occluder": "hood" if subject % 5 == 1 else "hat",
        "head": HEAD["name"],
    }


@dataclasses.dataclass
class RawFeatures:
    embedding: np.ndarray
    middle: np.ndarray
    points: np.ndarray
    presence: np.ndarray


def stub_faces() -> types.SimpleNamespace:
    """A detector of bright areas; the features are the picture's brightness."""

    def detect_batch(images: list[np.ndarray]) -> list[list]:
        LOOKED_AT.append(len(images))
        box = np.array([60.0, 60, 160, 160])
        return [[types.SimpleNamespace(box=box)] if im.max() > 80 else [] for im in images]

    def raw_features(images: list[np.ndarray], faces: list) -> RawFeatures:
        assert len(images) == len(faces) > 0
        level = np.array([[im.mean()] for im in images], np.float32)
        middle = np.repeat(level, 16, axis=1).astype(np.float16)
        return RawFeatures(level, middle, np.repeat(level, 6, axis=1), level[:, 0] / 255)

    def fit_projection(raw: RawFeatures) -> dict[str, np.ndarray]:
        return {"mean": raw.embedding.mean(0), "count": np.array(len(raw.embedding))}

    def project(raw: RawFeatures, basis: dict[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([raw.embedding - basis["mean"], raw.presence[:, None]], axis=1)

    return types.SimpleNamespace(**locals(), RawFeatures=RawFeatures)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("data") / "set"
    openhead_tfds.build(out, make=make, head=HEAD, counts=COUNTS, workers=0)
    return out


@pytest.fixture
def folder(source, tmp_path, monkeypatch) -> pathlib.Path:
    monkeypatch.setattr(raw_pass, "PART", 4)
    LOOKED_AT.clear()
    return pathlib.Path(shutil.copytree(source, tmp_path / "set"))


def run(folder: pathlib.Path, **changes) -> dict:
    options = {"faces": stub_faces, "projection": folder / "p.npz", "fit": 4, "workers": 0}
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


def test_rejected_pairs_are_named_and_counted(folder):
    metas = run(folder)
    assert metas["train"]["rejected"] == {"clean: not on the face": 1, "occluded: no face": 2}
    assert metas["train"]["pairs"] == 9
    text = (pipeline.folder(folder, "train") / "rejected.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["subject"] for line in lines] == [4, 6, 11]
    assert lines[1] == {"subject": 6, "occluder": "hood", "clean": "", "occluded": "no face"}
    summary = feature_pass.summary(metas)
    assert "train: 6 of 9 pairs (66.7%), 2 features" in summary and "validation" in summary


def test_meta_names_head_data_and_projection(folder):
    run(folder)
    meta = pipeline.read_meta(folder, "test")
    assert meta["head"] == HEAD and meta["features"] == "open"
    assert meta["content_hash"] == data_card.read(folder)["content_hash"]


def test_a_rerun_skips_finished_parts(folder):
    expected = run(folder, keep_raw=True)
    parts = sorted(folder.glob("features/raw/*/part-*.npz"))
    assert len(parts) == 5 and LOOKED_AT == [8, 8, 2, 4, 4]
    parts[1].unlink()
    LOOKED_AT.clear()
    assert run(folder) == expected
    assert len(LOOKED_AT) == 1
    assert not (folder / "features" / "raw").exists()


def test_finished_features_are_left_alone(folder):
    expected = run(folder)
    LOOKED_AT.clear()
    assert run(folder, fit=0) == expected
    assert LOOKED_AT == []
    raw_pass.save(folder / "q.npz", {"mean": np.ones(1, np.float32)})
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
    LOOKED_AT.clear()
    run(folder)
    assert len(LOOKED_AT) == 5


def test_projection_is_fitted_on_both_kinds_of_the_first_pairs(folder):
    run(folder, fit=4)
    basis = feature_pass.load_projection(folder / "p.npz")
    assert basis["count"] == 8
    train = list(records.open_split(folder, "train"))
    first = [r for r in train if r["subject"] in (5, 7, 8, 9)]
    levels = [record[name].mean() for record in first for name in ("image", "occluded")]
    np.testing.assert_allclose(basis["mean"], np.mean(levels), rtol=1e-4)


def test_without_a_projection_it_says_what_to_do(folder):
    with pytest.raises(ValueError, match="--fit_projection"):
        run(folder, fit=0)
    assert LOOKED_AT == []


def test_no_face_at_all_is_an_error(tmp_path):
    counts = {"train": 1, "validation": 0, "test": 1}
    openhead_tfds.build(tmp_path / "set", make=make, head=HEAD, counts=counts, workers=0)
    with pytest.raises(ValueError, match="no face in any pair of the train split"):
        run(tmp_path / "set")

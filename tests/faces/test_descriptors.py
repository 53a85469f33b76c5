"""The open features: same person near, whatever the light and pose; a projection that whitens."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from ofer_jax import faces, openhead
from ofer_jax.faces import descriptors

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.fixture(scope="module")
def crops(testdata):
    with np.load(testdata / "faces.npz") as stored:
        return {name: stored[name] for name in ("astronaut", "hopper")}


def variants(image: np.ndarray) -> list[np.ndarray]:
    picture = Image.fromarray(image)
    return [
        image,
        np.ascontiguousarray(image[:, ::-1]),
        np.asarray(picture.rotate(20)),
        np.asarray(picture.resize((120, 120))),
        (image * 0.5).astype(np.uint8),
    ]


@pytest.fixture(scope="module")
def raw(crops) -> faces.RawFeatures:
    """Five variants of each of the two photographs."""
    pictures = variants(crops["astronaut"]) + variants(crops["hopper"])
    found = [f[0] for f in faces.detect_batch(pictures)]
    return faces.raw_features(pictures, found)


def random_raw(rng: np.random.Generator, count: int) -> faces.RawFeatures:
    return faces.RawFeatures(
        embedding=rng.normal(0.1, 0.05, (count, 128)).astype(np.float32),
        middle=rng.normal(3, 2, (count, 8192)).astype(np.float16),
        points=rng.standard_normal((count, 1404), np.float32),
        pose=rng.normal(0, 0.3, (count, 2)).astype(np.float32),
        presence=rng.uniform(size=count).astype(np.float32),
    )


def test_raw_features_shapes(raw):
    shapes = {name: value.shape for name, value in dataclasses.asdict(raw).items()}
    assert shapes == {
        "embedding": (10, 128),
        "middle": (10, 8192),
        "points": (10, 1404),
        "pose": (10, 2),
        "presence": (10,),
    }
    assert raw.middle.dtype == np.float16 and raw.points.dtype == np.float32


@pytest.mark.parametrize("name", ["embedding", "points", "middle"])
def test_same_photograph_is_nearer_than_another_person(raw, name):
    values = getattr(raw, name).astype(np.float64)
    apart = np.linalg.norm(values[:, None] - values[None], axis=-1)
    same = max(apart[:5, :5].max(), apart[5:, 5:].max())
    assert apart[:5, 5:].min() > same
    if name == "embedding":
        assert same < 0.3 and apart[:5, 5:].min() > 0.55


def test_laid_points_forget_place_size_and_turn():
    canonical = openhead.weights("facemesh")["canonical"].astype(np.float64)
    yaw = 0.5
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    laid, pose = descriptors.lay_points(canonical @ turn.T * 80 + [300, 200, 5])
    np.testing.assert_allclose(laid, canonical, atol=1e-6)
    np.testing.assert_allclose(pose, [0, yaw], atol=1e-6)


def test_mean_face_is_symmetric():
    stored = openhead.weights("facemesh")
    canonical, mirror = stored["canonical"], stored["mirror"]
    np.testing.assert_array_equal(mirror[mirror], np.arange(468))
    np.testing.assert_allclose(canonical[mirror] * [-1, 1, 1], canonical, atol=1e-6)
    assert mirror[33] == 263 and mirror[61] == 291 and mirror[1] == 1


def test_principal_components_are_those_of_the_svd(rng):
    values = rng.normal(size=(400, 90)) * 0.9 ** np.arange(90) @ rng.normal(size=(90, 120)) + 3
    found = descriptors._principal(values, 20, "x")
    deviations = np.linalg.svd(values - values.mean(0), compute_uv=False)[:20] / 20
    np.testing.assert_allclose(1 / found["x_scale"], deviations, rtol=1e-3)
    basis = found["x_basis"].astype(np.float64)
    np.testing.assert_allclose(basis.T @ basis, np.eye(20), atol=2e-3)
    assert found["x_basis"].dtype == np.float16


def test_projection_whitens(rng, monkeypatch):
    monkeypatch.setattr(descriptors, "MIDDLE_COMPONENTS", 30)  # fewer, for speed
    monkeypatch.setattr(descriptors, "POINT_COMPONENTS", 20)
    raw = random_raw(rng, 80)
    values = faces.project(raw, faces.fit_projection(raw))
    assert values.shape == (80, 128 + 30 + 20 + 2 + 1) and values.dtype == np.float32
    np.testing.assert_allclose(values[:, 128:-1].std(0), 1, atol=0.05)
    np.testing.assert_allclose(values[:, :-1].mean(0), 0, atol=0.3)
    assert np.sqrt(np.mean(values[:, :128] ** 2)) == pytest.approx(1, abs=0.01)
    assert np.abs(values[:, -1]).max() <= 1


def test_the_map_is_centred_and_of_about_unit_deviation(rng, monkeypatch):
    monkeypatch.setattr(descriptors, "MIDDLE_COMPONENTS", 30)
    monkeypatch.setattr(descriptors, "POINT_COMPONENTS", 20)
    raw = random_raw(rng, 80)
    raw = dataclasses.replace(raw, middle=raw.middle * np.float16(0.5))
    whole = faces.centred_map(raw.middle, faces.fit_projection(raw))
    assert whole.shape == (80, faces.MAP) and whole.dtype == np.float16
    np.testing.assert_allclose(whole.astype(np.float32).mean(0), 0, atol=1e-2)


def test_projection_needs_more_faces_than_components(rng):
    raw = faces.RawFeatures(*(v[:20] for v in vars(random_raw(rng, 20)).values()))
    with pytest.raises(ValueError, match="20 faces are too few for 300"):
        faces.fit_projection(raw)


def test_features_say_when_the_projection_is_missing(monkeypatch, crops):
    def missing(name):
        raise ValueError(f"{name} is not among the embedded assets")

    monkeypatch.setattr(descriptors.openhead, "weights", missing)
    with pytest.raises(ValueError, match="projection"):
        faces.features([crops["hopper"]], [None])


def test_a_face_for_each_picture(crops):
    with pytest.raises(ValueError, match="1 pictures but 0 faces"):
        faces.raw_features([crops["hopper"]], [])


def test_no_faces_give_empty_features():
    assert faces.raw_features([], []).middle.shape == (0, 8192)


def test_hidden_face_gets_its_chip_from_five_points(crops):
    (face,) = faces.detect(crops["astronaut"])
    hidden = dataclasses.replace(face, presence=0.1, points=np.zeros((468, 3)))
    difference = faces.chip_150(crops["astronaut"], face).astype(float) - faces.chip_150(
        crops["astronaut"], hidden
    )
    assert np.abs(difference).mean() < 25
    apart = np.diff(
        faces.embed(np.stack([faces.chip_150(crops["astronaut"], f) for f in (face, hidden)]))[0],
        axis=0,
    )
    assert np.linalg.norm(apart) < 0.35

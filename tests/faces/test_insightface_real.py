"""The adapter with the real package and made-up models; skipped where it is not installed."""

import numpy as np
import pytest

pytest.importorskip("insightface", reason="the extra insightface is not installed")

from ofer_jax.faces import align, insightface_adapter
from ofer_jax.faces.insightface_adapter import Detector
from tests import made_up_insightface as made_up


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    return str(made_up.write(folder, "detector", "points_68", "points_106", "arcface"))


def photograph(*corners: tuple[int, int]) -> np.ndarray:
    """448 x 448 with bright squares of 64 pixels, red the least bright."""
    picture = np.zeros((448, 448, 3), np.uint8)
    for x, y in corners:
        picture[y : y + 64, x : x + 64] = (240, 250, 255)
    return picture


def test_faces_are_where_the_detector_sees_them(pack):
    near, far = Detector(pack).detect(photograph((0, 0), (192, 256)))
    np.testing.assert_allclose(near.box, [192, 256, 256, 320], atol=1e-3)
    np.testing.assert_allclose(far.box, [0, 0, 64, 64], atol=1e-3)
    np.testing.assert_allclose(near.five, made_up.FIVE * 64 + [192, 256], atol=1e-3)
    assert 0.5 < near.score <= 1 and near.presence == 0


@pytest.mark.parametrize(("size", "count"), [(224, 1), (640, 4), (112, 0)])
def test_the_photograph_is_shrunk_to_the_size(pack, size, count):
    """At 224 a square of 64 pixels fills one cell of 32, at 112 none, at 640 four."""
    assert len(Detector(pack, size=size).detect(photograph((64, 64)))) == count


def test_nothing_below_the_threshold(pack):
    picture = (photograph((64, 64)) * 0.88).astype(np.uint8)
    (face,) = Detector(pack, threshold=0.8).detect(picture)
    assert 0.8 < face.score < 0.9
    assert Detector(pack, threshold=0.9).detect_batch([picture]) == [[]]


@pytest.mark.parametrize(("kind", "places"), [("points_68", range(68)), ("points_106", None)])
def test_landmarks_of_the_models_that_are_there(tmp_path, kind, places):
    folder = made_up.write(tmp_path, "detector", kind)
    (face,) = Detector(str(folder)).detect(photograph((64, 64)))
    raw = made_up.points(68, 3) if places else made_up.points(106, 2)
    wanted = 96 + (raw[:, :2] * 64 * 1.5 / 2)  # the crop is 1.5 times the box, about its centre
    wanted = wanted[list(places or insightface_adapter._OF_106)]
    np.testing.assert_allclose(face.landmarks, wanted, atol=0.6)


def test_without_landmark_models_they_are_nan(tmp_path):
    (face,) = Detector(str(made_up.write(tmp_path, "detector"))).detect(photograph((64, 64)))
    assert face.landmarks.shape == (68, 2) and np.isnan(face.landmarks).all()


def test_crops_and_embeddings_are_rgb(pack):
    faces, picture = Detector(pack), photograph((192, 192))
    (face,) = faces.detect(picture)
    crop = faces.crop_112(picture, face)
    np.testing.assert_array_equal(crop, align.warp(picture, align.arcface_matrix(face.five), 112))
    wide = faces.crop_224(picture, face)
    bright = np.flatnonzero(wide[112, :, 0] > 120)
    assert abs(len(bright) - 224 / 1.6) <= 1 and abs(bright.mean() - 111.5) <= 2
    found = faces.embed(np.stack([crop, crop // 2]))
    assert found.shape == (2, 3) and (np.diff(found, axis=1) > 0).all()


def test_a_folder_in_a_folder(tmp_path):
    made_up.write(tmp_path / "antelopev2" / "antelopev2", "detector")
    assert len(Detector(str(tmp_path / "antelopev2")).detect(photograph((64, 64)))) == 1


@pytest.mark.parametrize(
    ("kinds", "said"), [((), "no ONNX file"), (("arcface",), "no detection model")]
)
def test_missing_models_are_one_line_with_the_licence(tmp_path, kinds, said):
    made_up.write(tmp_path, *kinds)
    with pytest.raises(ValueError, match=rf"{said}.*non-commercial") as raised:
        Detector(str(tmp_path)).detect(photograph())
    assert "\n" not in str(raised.value)


def test_a_damaged_model_is_one_line(tmp_path):
    (tmp_path / "det.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"found no models .*non-commercial") as raised:
        Detector(str(tmp_path)).detect(photograph())
    assert "\n" not in str(raised.value)

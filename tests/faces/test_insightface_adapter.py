"""The adapter with an imitation of insightface, and without any."""

import pickle
import sys
import types

import numpy as np
import pytest

from ofer_jax.faces import align, insightface_adapter
from ofer_jax.faces.insightface_adapter import Detector


class Analysis:
    """Answers as insightface does: BGR in; boxes with scores and five points out."""

    def __init__(self, name, allowed_modules, **options):
        if name == "absent":
            raise ConnectionError("no network,\nand no models")
        self.allowed, self.options = allowed_modules, options
        self.det_model = self
        self.models = {"detection": self}
        if "recognition" in allowed_modules:
            self.models["recognition"] = types.SimpleNamespace(
                get_feat=lambda bgr: np.stack([each.mean((0, 1)) for each in bgr])
            )

    def prepare(self, **settings):
        self.settings = settings

    def detect(self, bgr):
        assert bgr[0, 0].tolist() == [3, 2, 1]
        boxes = np.array([[x, 0, x + 10, 10, 0.9] for x in (0, 40)], np.float32)
        return boxes, np.stack([align.ARCFACE_TEMPLATE + np.array([x, 0]) for x in (0, 40)])


@pytest.fixture
def imitation(monkeypatch):
    app, common = types.ModuleType("insightface.app"), types.ModuleType("insightface.app.common")
    app.FaceAnalysis, common.Face = Analysis, types.SimpleNamespace
    for name, module in (("", types.ModuleType("insightface")), (".app", app)):
        monkeypatch.setitem(sys.modules, f"insightface{name}", module)
    monkeypatch.setitem(sys.modules, "insightface.app.common", common)
    insightface_adapter.analysis.cache_clear()
    yield
    insightface_adapter.analysis.cache_clear()


def test_faces_as_ours(imitation):
    image = np.zeros((10, 100, 3), np.uint8) + np.array([1, 2, 3], np.uint8)
    faces = Detector()
    near, far = faces.detect(image)
    assert near.box[0] == 40 and far.box[0] == 0 and near.score == pytest.approx(0.9)
    np.testing.assert_allclose(far.five, align.ARCFACE_TEMPLATE)
    np.testing.assert_allclose(far.keypoints[3], align.ARCFACE_TEMPLATE[3:].mean(0))
    assert near.presence == 0 and np.isnan(near.points).all() and np.isnan(near.landmarks).all()
    assert faces.crop_112(image, far).shape == (112, 112, 3)
    assert faces.crop_224(image, far).shape == (224, 224, 3)
    assert faces.embed(image[None]).tolist() == [[3, 2, 1]]


def test_settings_are_micas_unless_given(imitation):
    made = insightface_adapter.analysis("antelopev2", 224, 0.5)
    assert made.settings == {"ctx_id": -1, "det_thresh": 0.5, "det_size": (224, 224)}
    assert made.allowed == ["detection", *insightface_adapter.LANDMARKS]
    assert (Detector().size, Detector().models) == (224, "antelopev2")
    assert pickle.loads(pickle.dumps(Detector(size=640))) == Detector(size=640)


def test_the_106_points_have_a_place_each():
    places = insightface_adapter._OF_106
    assert len(places) == len(set(places)) == 68 and set(places) < set(range(106))


@pytest.mark.parametrize(
    ("models", "said"),
    [("absent", "no models for 'absent': no network, and"), ("no/such", "no folder no/such")],
)
def test_missing_models_are_one_line_with_the_licence(imitation, models, said):
    with pytest.raises(ValueError, match=rf"{said}.*non-commercial") as raised:
        Detector(models).detect(np.zeros((9, 9, 3), np.uint8))
    assert "\n" not in str(raised.value)


def test_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "insightface", None)
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    insightface_adapter.analysis.cache_clear()
    with pytest.raises(ValueError, match="pip install insightface"):
        Detector().detect(np.zeros((9, 9, 3), np.uint8))

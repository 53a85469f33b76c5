"""The adapter with a made-up insightface, and without any."""

import sys
import types

import numpy as np
import pytest

from ofer_jax.faces import align, insightface_adapter


class FakeAnalysis:
    """Answers as insightface does: BGR in; boxes, five points and scores out."""

    def __init__(self, name, allowed_modules):
        if name == "absent":
            raise ConnectionError("no network")
        recognition = types.SimpleNamespace(get_feat=lambda bgr: bgr.mean((0, 1))[None])
        self.models = {"recognition": recognition}

    def prepare(self, ctx_id, det_size):
        self.size = det_size

    def get(self, bgr):
        assert bgr[0, 0].tolist() == [3, 2, 1]
        five = align.ARCFACE_TEMPLATE
        return [
            types.SimpleNamespace(
                bbox=np.array([x, 0, x + 9, 9]), kps=five + np.array([x, 0]), det_score=0.9
            )
            for x in (0, 40)
        ]


@pytest.fixture
def fake(monkeypatch):
    app = types.ModuleType("insightface.app")
    app.FaceAnalysis = FakeAnalysis
    monkeypatch.setitem(sys.modules, "insightface", types.ModuleType("insightface"))
    monkeypatch.setitem(sys.modules, "insightface.app", app)
    insightface_adapter.analysis.cache_clear()
    yield
    insightface_adapter.analysis.cache_clear()


def test_faces_as_ours(fake):
    image = np.zeros((10, 100, 3), np.uint8) + np.array([1, 2, 3], np.uint8)
    near, far = insightface_adapter.detect(image)
    assert near.box[0] == 40 and far.box[0] == 0
    np.testing.assert_allclose(far.five, align.ARCFACE_TEMPLATE)
    np.testing.assert_allclose(far.keypoints[3], align.ARCFACE_TEMPLATE[3:].mean(0))
    assert near.presence == 0 and np.isnan(near.points).all()
    assert insightface_adapter.crop_112(image, far).shape == (112, 112, 3)
    assert insightface_adapter.embed(image[None]).tolist() == [[3, 2, 1]]


def test_missing_models_are_one_line(fake):
    with pytest.raises(ValueError, match="no models for 'absent': no network"):
        insightface_adapter.analysis("absent")


def test_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "insightface", None)
    insightface_adapter.analysis.cache_clear()
    with pytest.raises(ValueError, match="pip install insightface"):
        insightface_adapter.analysis()

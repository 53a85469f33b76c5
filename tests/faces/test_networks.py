"""The stored networks against the values that TFLite's own runtime gave (testdata/faces.npz)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import openhead
from ofer_jax.faces import embedding, graph

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.fixture(scope="module")
def golden(testdata):
    with np.load(testdata / "faces.npz") as stored:
        return dict(stored)


@pytest.mark.parametrize("batch", [1, 2])
def test_blazeface_matches_tflite(golden, batch):
    text, weights = graph.split(openhead.weights("blazeface"))
    view = golden["astronaut"][32:160, 32:160].astype(np.float32) / 127.5 - 1
    places, logits = graph.apply(text, weights, jnp.stack([view] * batch))
    expected = golden["blazeface_2048"].reshape(-1, 16)
    np.testing.assert_allclose(places[-1, ::7], expected, atol=1e-3)
    np.testing.assert_allclose(logits[-1], golden["blazeface_896"], atol=1e-3)


@pytest.mark.parametrize("batch", [1, 2])
def test_facemesh_matches_tflite(golden, batch):
    text, weights = graph.split(openhead.weights("facemesh"))
    crop = golden["astronaut"].astype(np.float32) / 255
    points, presence = graph.apply(text, weights, jnp.stack([crop] * batch))
    np.testing.assert_allclose(points[-1].ravel(), golden["facemesh_1404"], atol=1e-3)
    np.testing.assert_allclose(presence[-1].ravel(), golden["facemesh_1"], atol=1e-3)


def test_embedding_compiled_equals_plain(golden):
    weights = embedding.dequantise(openhead.weights("dlib"))
    chips = np.stack([golden["astronaut"][20:170, 20:170], golden["hopper"][20:170, 20:170]])
    with jax.disable_jit():
        expected, expected_map = embedding.forward(weights, chips)
    for count in (1, 2):
        values, middle = embedding.forward(weights, chips[:count])
        np.testing.assert_allclose(values, expected[:count], atol=1e-5)
        np.testing.assert_allclose(middle, expected_map[:count], atol=1e-4)
    assert middle.shape == (2, 8, 8, 128)


def test_dequantise_undoes_the_storage():
    stored = {
        "a": np.array([0, 255], np.uint8),
        "a_scale": np.float32(0.5),
        "a_min": np.float32(-1),
        "b": np.array([[1.5]], np.float16),
    }
    weights = embedding.dequantise({k: np.asarray(v) for k, v in stored.items()})
    assert set(weights) == {"a", "b"}
    np.testing.assert_array_equal(weights["a"], np.float32([-1, 126.5]))
    assert weights["b"].dtype == np.float32


def test_embed_wants_chips():
    with pytest.raises(ValueError, match=r"150, 150, 3.*float32"):
        embedding.embed(np.zeros((1, 150, 150, 3), np.float32))
    values, middle = embedding.embed(np.zeros((0, 150, 150, 3), np.uint8))
    assert values.shape == (0, 128) and middle.shape == (0, 8, 8, 128)

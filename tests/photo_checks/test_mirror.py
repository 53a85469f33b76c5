"""A head's mirror image, and photographs changed without changing the face."""

import dataclasses

import numpy as np
import pytest

from ofer_jax import flame, openhead
from ofer_jax.flame import FlameModel
from ofer_jax.photo_checks import mirror, variants
from tests import toy


@pytest.fixture(scope="module")
def head() -> FlameModel:
    return flame.load(openhead.head_path())


def test_mirrored_twice_is_the_same(head: FlameModel) -> None:
    surface = openhead.surface()
    first, second = mirror.counterparts(head, surface, surface["region_face"])
    assert sorted(first) == sorted(surface["region_face"])
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(2, head.num_vertices, 3)).astype(np.float32)
    whole = vertices.copy()
    whole[:, first] = mirror.mirrored(vertices, (first, second))
    assert (whole[:, first] != vertices[:, first]).any()
    np.testing.assert_array_equal(mirror.mirrored(whole, (first, second)), vertices[:, first])


def test_the_mean_head_tells_as_much_as_the_surface(head: FlameModel) -> None:
    surface = openhead.surface()
    known = dict(zip(*mirror.counterparts(head, surface, surface["region_face"]), strict=True))
    found = dict(zip(*mirror.counterparts(head, {}, surface["region_face"]), strict=True))
    assert len(found) > 0.95 * len(known)
    assert all(known[vertex] == opposite for vertex, opposite in found.items())


def test_a_head_that_is_not_symmetric_is_refused() -> None:
    head = toy.head()
    away = dataclasses.replace(head, v_template=head.v_template + 0.3)
    with pytest.raises(ValueError, match="middle must lie at x = 0"):
        mirror.counterparts(away, {}, toy.REGION)


def test_variants_keep_the_face() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    box = np.array([180.0, 60, 240, 120])
    found = variants.of(image, box)
    assert tuple(found) == variants.NAMES
    assert all(each.dtype == np.uint8 for each in found.values())
    np.testing.assert_array_equal(found["mirrored"][:, ::-1], image)
    np.testing.assert_allclose(found["dimmed"], image / 2, atol=0.51)
    np.testing.assert_array_equal(found["re-cropped"], image[30:162, 150:282])
    assert found["recompressed"].shape == image.shape
    assert 1 < np.abs(found["recompressed"].astype(int) - image).mean() < 60


def test_a_crop_never_cuts_the_face() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[0:90, 2:98] = 255
    cut = variants.of(image, np.array([2.0, 0, 98, 90]))["re-cropped"]
    assert (cut == 255).all(-1).sum() == 90 * 96
    beyond = variants.of(image, np.array([-30.0, -20, 98, 120]))["re-cropped"]
    assert beyond.shape == image.shape

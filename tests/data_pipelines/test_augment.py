"""Occlusion augmentation: repeatable, the same thing in both crops, masks exact, by settings."""

import numpy as np
import pytest

from data_pipelines import augment, layers
from data_pipelines.augment import Settings
from data_pipelines.synthetic import example, occluders
from ofer_jax import openhead
from ofer_jax.faces import align

pytestmark = pytest.mark.skipif(
    not openhead.head_path().is_file(), reason="the open head is not built"
)
TO_112 = align.square_matrix(np.array([114.0, 120.0]), 130.0, 112, np.array([0.98, 0.17]))


@pytest.fixture(scope="module")
def face():
    """A crop and its landmarks."""
    record = example.make(7, 2)
    return record["image"], record["landmarks"]


def hide(face, index: int, settings: Settings, seed: int = 0):
    return augment.occlude(augment.rng(seed, index), *face, settings)


@pytest.mark.parametrize("kind", sorted(augment.KINDS))
def test_each_kind_hides_something_and_the_mask_is_exact(kind, face):
    before = face[0].copy()
    for index in range(3):
        out, mask, name = hide(face, index, Settings(1.0, 1.0, (kind,)))
        assert name == kind and out.dtype == np.uint8 and out.shape == before.shape
        np.testing.assert_array_equal(mask, (out != before).any(-1))
        hidden = occluders.share(mask, occluders.face_area(face[1], mask.shape))
        assert 0.04 < hidden <= 1
        again = hide(face, index, Settings(1.0, 1.0, (kind,)))
        np.testing.assert_array_equal(again[0], out)
    np.testing.assert_array_equal(face[0], before)
    assert (hide(face, 0, Settings(1.0, 1.0, (kind,)), seed=1)[0] != out).any()


@pytest.mark.parametrize("kind", ["glasses", "hand", "border", "cut-out", "dark", "blur"])
def test_both_crops_show_the_same_thing(kind, face):
    crop_224, marks = face
    crop_112 = align.warp(crop_224, TO_112, 112)
    for index in range(4):
        settings = Settings(1.0, 1.0, (kind,))
        small, large, name = augment.both(
            augment.rng(0, index), crop_112, crop_224, marks, TO_112, settings
        )
        alone, mask, _ = augment.occlude(augment.rng(0, index), crop_224, marks, settings)
        np.testing.assert_array_equal(large, alone)
        assert name == kind
        expected = align.warp(large, TO_112, 112).astype(float)
        changed = (small != crop_112).any(-1)
        assert changed.mean() > 0.01
        assert np.abs(small - expected).mean() < 1.5  # at soft edges and in noise only
        away = align.warp(np.repeat(mask[..., None], 3, -1) * np.uint8(255), TO_112, 112)[..., 0]
        gap = np.abs(small.astype(int) - crop_112).max(-1)
        assert gap[away == 0].max(initial=0) <= 2  # rounding where a blur begins


def test_a_layer_goes_on_beyond_the_edge_of_the_large_crop():
    planes = np.zeros((4, 8, 20), np.float32)  # the lower rows are black
    layer = layers.Layer((20, 20), (slice(12, 20), slice(0, 20)), planes)
    wider = layer.seen(np.array([[0.5, 0, 5.0], [0, 0.5, 5.0]]), 20)
    white = np.full((20, 20, 3), 255, np.uint8)
    seen = wider.over(white)[..., 0]
    assert (seen[:10] == 255).all() and (seen[12:] == 0).all()


def test_share_is_how_many_examples_are_hidden(face):
    settings = Settings(0.3, 1.0, ("border",))
    kinds = [hide(face, index, settings)[2] for index in range(300)]
    assert set(kinds) == {"", "border"}
    assert 0.2 < np.mean([kind != "" for kind in kinds]) < 0.4
    for nothing in (Settings(0.0), Settings(1.0, 0.0)):
        out, mask, kind = hide(face, 0, nothing)
        assert kind == "" and not mask.any()
        np.testing.assert_array_equal(out, face[0])


def test_all_kinds_are_drawn_and_only_those_asked_for(face):
    drawn = {hide(face, index, Settings(1.0))[2] for index in range(120)}
    assert drawn == set(augment.KINDS)
    some = {hide(face, index, Settings(1.0, 1.0, ("cut-out", "blur")))[2] for index in range(12)}
    assert some == {"cut-out", "blur"}


def test_strength_hides_more(face):
    image, marks = face
    area = occluders.face_area(marks, image.shape[:2])
    things = tuple(set(augment.KINDS) - {"dark", "blur"})

    def hidden(strength: float) -> float:
        found = [hide(face, i, Settings(1.0, strength, things))[1] for i in range(30)]
        return float(np.mean([occluders.share(mask, area) for mask in found]))

    def left(strength: float, kind: str, measure) -> float:
        found = [hide(face, i, Settings(1.0, strength, (kind,)))[0] for i in range(8)]
        return float(np.mean([measure(out.astype(float)) for out in found]))

    assert hidden(0.3) < hidden(0.7) < hidden(1.6)
    measures = {"dark": np.mean, "blur": lambda out: np.abs(np.diff(out, axis=0)).mean()}
    for kind, measure in measures.items():
        values = [left(strength, kind, measure) for strength in (0.2, 0.6, 1.2)]
        assert values[0] > values[1] > values[2]


def test_a_black_and_white_picture_stays_so(face):
    grey = np.repeat(face[0].mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    for kind in ("scarf", "mask", "phone"):
        out = hide((grey, face[1]), 1, Settings(1.0, 1.0, (kind,)))[0]
        assert np.ptp(out.astype(int), axis=-1).max() <= 1


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"share": 1.5}, "augment.share is 1.5"),
        ({"strength": -1}, "augment.strength is -1"),
        ({"kinds": ("hat",)}, "augment.kinds has 'hat'"),
    ],
)
def test_settings_that_make_no_sense(fields, why):
    with pytest.raises(ValueError, match=why):
        Settings(**fields)


def test_landmarks_must_be_68(face):
    with pytest.raises(ValueError, match="68 finite points"):
        augment.occlude(augment.rng(0, 0), face[0], face[1][:5], Settings(1.0))

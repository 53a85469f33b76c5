"""Synthetic pictures: repeatable, labelled truly, occluded where the mask says."""

import numpy as np
import pytest

from data_pipelines.synthetic import bodies, example, heads, noise, occluders, sensor
from data_pipelines.synthetic import scene as scenes
from data_pipelines.synthetic.canvas import Canvas, smooth
from ofer_jax import openhead, render
from ofer_jax.flame import rotations

pytestmark = pytest.mark.skipif(
    not openhead.head_path().is_file(), reason="the open head is not built"
)


@pytest.fixture(scope="module")
def records():
    return [example.make(7, subject) for subject in range(6)]


def test_record_has_the_agreed_fields(records):
    shapes = {
        "image": (224, 224, 3), "occluded": (224, 224, 3), "mask": (224, 224), "shape": (300,),
        "expression": (100,), "jaw": (3,), "neck": (3,), "eyes": (6,), "global_rotation": (3,),
        "camera": (3,), "landmarks": (68, 2), "subject": (),
    }  # fmt: skip
    for subject, record in enumerate(records):
        assert {name: np.shape(record[name]) for name in shapes} == shapes
        assert set(record) - set(shapes) == {"occluder", "head"}
        assert record["image"].dtype == record["occluded"].dtype == np.uint8
        assert record["mask"].dtype == bool and record["shape"].dtype == np.float32
        assert record["subject"] == subject and record["occluder"] in occluders.KINDS
        assert all(np.isfinite(record[name]).all() for name in shapes)


def test_same_numbers_same_content_and_otherwise_not(records):
    again = example.make(7, 3)
    for name, value in records[3].items():
        np.testing.assert_array_equal(again[name], value)
    for other in (records[2], example.make(8, 3)):
        assert (other["image"] != again["image"]).mean() > 0.5
        assert np.abs(other["shape"] - again["shape"]).max() > 0.5


def test_pictures_are_equal_away_from_the_mask(records):
    for record in records:
        blocks = noise.box_blur(record["mask"].astype(np.float32), 18, passes=1) > 1e-6
        differ = (record["image"] != record["occluded"]).any(-1)
        assert not differ[~blocks].any(), record["occluder"]
        assert differ[record["mask"]].mean() > 0.5


def test_landmarks_are_the_posed_heads(records):
    head = heads.open_head()
    for record in records:
        body = scenes.Body(**{name: record[name] for name in scenes.Body.__dataclass_fields__})
        _, marks = heads.pose(head, body)
        pixels = render.project(marks, record["camera"])[:, :2]
        np.testing.assert_allclose(pixels, record["landmarks"], atol=1e-3)
        eyes = record["landmarks"][36:48].mean(0)
        assert (np.abs(eyes - 112) < 70).all()


def test_eyes_are_painted_where_their_landmarks_are():
    """The white of the eyes and the dark pupils make the eye more varied than the cheek."""
    bare = 0
    for subject in range(8):
        record = example.make(11, subject)
        marks, image = record["landmarks"], record["image"].astype(float).mean(-1)
        middle = marks[[36, 39]].mean(0)
        width = np.linalg.norm(marks[36] - marks[39])
        y, x = np.mgrid[:224, :224]
        near = np.hypot(x - middle[0], y - middle[1]) < 0.5 * width
        cheek_at = marks[[41, 48]].mean(0)
        cheek = np.hypot(x - cheek_at[0], y - cheek_at[1]) < 0.4 * width
        bare += image[near].std() > 1.5 * image[cheek].std()
    assert bare >= 6


@pytest.mark.parametrize("kind", sorted(occluders.KINDS))
def test_each_thing_hides_a_part_of_a_face(kind, records):
    shares = []
    for index, record in enumerate(records):
        rng = np.random.default_rng(index)
        out, hidden, name = occluders.apply(rng, record["image"], record["landmarks"], kind)
        assert name == kind and out.dtype == np.uint8
        np.testing.assert_array_equal(hidden, (out != record["image"]).any(-1))
        area = occluders.face_area(record["landmarks"], hidden.shape)
        shares.append(occluders.share(hidden, area))
    assert 0.07 < np.mean(shares) < 0.62, shares


def test_thing_follows_the_landmarks_of_a_larger_picture(records):
    """On a photograph of another size and shape the same chance gives the same thing, scaled."""
    record = records[0]
    photo = np.kron(record["image"], np.ones((2, 2, 1), np.uint8))[:, 20:]
    marks = record["landmarks"] * 2 + [0.5 - 20, 0.5]
    out, hidden, name = occluders.apply(np.random.default_rng(3), photo, marks, "mask")
    small = occluders.apply(np.random.default_rng(3), record["image"], record["landmarks"], "mask")
    assert name == "mask" and out.shape == photo.shape == (448, 428, 3)
    agree = hidden[::2, ::2] == small[1][:, 10:]
    assert agree.mean() > 0.97


def test_bad_arguments_say_what_is_wrong(records):
    rng, record = np.random.default_rng(0), records[0]
    with pytest.raises(ValueError, match="no occluder 'hat'"):
        occluders.apply(rng, record["image"], record["landmarks"], "hat")
    with pytest.raises(ValueError, match=r"68 finite points, not shape \[5, 2\]"):
        occluders.apply(rng, record["image"], record["landmarks"][:5])
    with pytest.raises(ValueError, match="negative: -1, 0"):
        example.make(-1, 0)


def test_rotations_stay_within_their_limits():
    rng = np.random.default_rng(0)
    turns = np.array([scenes.draw_rotation(rng) for _ in range(2000)], np.float32)
    matrix = np.asarray(rotations.rodrigues(turns))
    yaw = np.degrees(np.arctan2(-matrix[:, 2, 0], matrix[:, 2, 2]))
    pitch = np.degrees(np.arcsin(matrix[:, 2, 1]))
    roll = np.degrees(np.arctan2(-matrix[:, 0, 1], matrix[:, 1, 1]))
    assert np.abs(yaw).max() < 45.5 and np.abs(pitch).max() < 20.5 and np.abs(roll).max() < 20.5
    assert (np.abs(yaw) < 25).mean() > 0.8 and yaw.std() > 10 and abs(yaw.mean()) < 2


def test_expressions_rest_now_and_then_and_jaws_open_often():
    rng, surface = np.random.default_rng(1), openhead.surface()
    drawn = [bodies.draw_expression(rng, surface) for _ in range(400)]
    size = np.array([np.linalg.norm(expression) for expression, _ in drawn])
    jaw = np.array([opening for _, opening in drawn])
    assert 0.1 < (size < 0.25 * np.median(size)).mean() < 0.5
    assert 0.3 < (jaw[:, 0] > 0.02).mean() < 0.6
    assert (jaw[:, 0] >= 0).all() and jaw[:, 0].max() <= surface["jaw_open"] + 1e-6


def test_noise_tiles_wrap_and_blurs_keep_the_mean():
    tile = noise.tile("cloud")
    assert abs(tile.mean()) < 1e-3 and abs(tile.std() - 1) < 1e-3
    assert noise.sample("cloud", np.array(3.0), np.array(-1.0)) == tile[3, 255]
    assert noise.nearest("cloud", np.array(258.2), np.array(0.9)) == tile[2, 0]
    image = np.random.default_rng(0).uniform(size=(20, 31)).astype(np.float32)
    padded = np.pad(image, 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    np.testing.assert_allclose(noise.box_blur(image, 2, 1), windows.mean((2, 3)), atol=1e-5)


def test_camera_without_faults_changes_nothing():
    plain = sensor.Sensor(
        gain=np.ones(3, np.float32), contrast=1.0, saturation=1.0, grey=False, blur=0.0,
        shrink=1.0, noise=0.0, place=np.zeros(6, int), quality=90,
    )  # fmt: skip
    image = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    np.testing.assert_array_equal(sensor.develop(image / np.float32(255), plain), image)


def test_shapes_are_antialiased_and_clipped():
    canvas = Canvas(np.zeros((40, 50, 3), np.uint8))
    disc = 10 * np.stack([np.cos(a := np.linspace(0, 6.28, 60)), np.sin(a)], 1) + [20, 15]
    alpha = canvas.cover(disc).alpha
    assert abs(alpha.sum() - np.pi * 100) < 12 and ((alpha > 0) & (alpha < 1)).sum() > 20
    assert canvas.cover(disc + np.array([500, 0])).alpha.size == 0
    line = canvas.stroke(np.array([[-9.0, 5], [70, 5]]), 4)
    assert line.box[1] == slice(0, 50) and line.alpha.sum() == pytest.approx(200, rel=0.15)
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    assert len(smooth(square)) == 32 and smooth(square)[::8] == pytest.approx(square)


@pytest.mark.slow
def test_the_detector_takes_them_for_faces():
    """On 24 pictures: at least 23 found clean, 21 occluded, and the points lie on the landmarks."""
    faces = pytest.importorskip("ofer_jax.faces")
    made = [example.make(21, subject) for subject in range(24)]
    clean = faces.detect_batch([record["image"] for record in made])
    occluded = faces.detect_batch([record["occluded"] for record in made])
    assert sum(map(bool, clean)) >= 23 and sum(map(bool, occluded)) >= 21
    pairs = np.array([(33, 36), (263, 45), (61, 48), (291, 54)])  # FaceMesh point, landmark
    errors = []
    for record, found in zip(made, clean, strict=True):
        if found:
            marks = record["landmarks"]
            gap = found[0].points[pairs[:, 0], :2] - marks[pairs[:, 1]]
            errors.append(np.linalg.norm(gap, axis=1).mean() / np.linalg.norm(marks[16] - marks[0]))
    assert np.median(errors) < 0.04

"""Detection, on the two public-domain faces of testdata and on pictures without any."""

import numpy as np
import pytest
from PIL import Image

from ofer_jax import faces
from ofer_jax.faces import align, detector, finder

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.fixture(scope="module")
def crops(testdata):
    with np.load(testdata / "faces.npz") as stored:
        return {name: stored[name] for name in ("astronaut", "hopper")}


def on_canvas(crop: np.ndarray, height: int, width: int, x: int, y: int, size: int) -> np.ndarray:
    canvas = np.full((height, width, 3), 110, np.uint8)
    canvas[y : y + size, x : x + size] = np.asarray(Image.fromarray(crop).resize((size, size)))
    return canvas


def test_anchors_lie_on_their_grids():
    centres = detector.anchors()
    assert centres.shape == (896, 2)
    np.testing.assert_allclose(centres[:2], 1 / 32)
    np.testing.assert_allclose(centres[512:518], 1 / 16)


def test_overlap():
    a, b = np.array([0.0, 0, 2, 2]), np.array([1.0, 1, 3, 3])
    assert detector.overlap(a, a) == pytest.approx(1)
    assert detector.overlap(a, b) == pytest.approx(1 / 7)
    assert detector.overlap(a, b + 5) == 0


def test_suppress_averages_by_score():
    def detection(x, score):
        return np.array([x, 0, x + 10, 10.0]), np.full((6, 2), float(x)), score

    merged = detector.suppress([detection(2, 0.25), detection(0, 0.75), detection(100, 0.6)])
    assert [d[2] for d in merged] == [0.75, 0.6]
    np.testing.assert_allclose(merged[0][0], [0.5, 0, 10.5, 10])
    np.testing.assert_allclose(merged[0][1], 0.5)


def test_tiles_cover_the_picture():
    views = detector.tiles(500, 300, 100.0)
    seen = np.zeros((300, 500), bool)
    for view in views:
        corners = align.apply(align.invert(view), np.array([[-0.5, -0.5], [127.5, 127.5]]))
        (x0, y0), (x1, y1) = np.round(corners + 0.5).astype(int)
        seen[y0:y1, x0:x1] = True
    assert seen.all() and len(views) <= 60


@pytest.mark.parametrize("name", ["astronaut", "hopper"])
def test_face_is_found_and_makes_sense(crops, name):
    (face,) = faces.detect(crops[name])
    assert face.score > 0.8 and face.presence > 0.9
    assert face.points.shape == (468, 3) and face.keypoints.shape == (6, 2)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.five
    assert left_eye[0] < nose[0] < right_eye[0] and left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    rough = finder.five_of_keypoints(face.keypoints)
    apart = np.linalg.norm(right_eye - left_eye)
    assert np.linalg.norm(rough - face.five, axis=1).max() < 0.25 * apart


def test_batch_equals_single_and_order_is_kept(crops):
    plain = np.full((64, 80, 3), 200, np.uint8)
    pictures = [crops["hopper"], plain, crops["astronaut"], crops["hopper"][:, ::-1], plain]
    together = faces.detect_batch(pictures)
    assert [len(found) for found in together] == [1, 0, 1, 1, 0]
    alone = faces.detect(crops["astronaut"])[0]
    np.testing.assert_allclose(together[2][0].points, alone.points, atol=0.05)
    assert faces.detect_batch([]) == []


def test_points_follow_the_picture(crops):
    """A picture twice as large, moved, gives the same points, twice as large and moved."""
    (small,) = faces.detect(crops["astronaut"])
    (large,) = faces.detect(on_canvas(crops["astronaut"], 500, 700, 200, 60, 384))
    expected = (small.points[:, :2] + 0.5) * 2 - 0.5 + [200, 60]
    assert np.linalg.norm(large.points[:, :2] - expected, axis=1).mean() < 3


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_pictures(crops, turns):
    (face,) = faces.detect(np.ascontiguousarray(np.rot90(crops["hopper"], turns)))
    assert face.presence > 0.5


def test_small_face(crops):
    picture = on_canvas(crops["astronaut"], 700, 1000, 760, 500, 90)
    (face,) = faces.detect(picture)
    assert 760 < face.box[0] < face.box[2] < 850 and 500 < face.box[1] < face.box[3] < 590


def test_a_face_much_smaller_than_another_is_found_when_asked_for(crops):
    picture = on_canvas(crops["hopper"], 600, 1200, 700, 50, 480)
    small = on_canvas(crops["astronaut"], 600, 1200, 100, 300, 100)
    picture[:, :600] = small[:, :600]
    boxes = sorted(face.box[0] for face in faces.detect(picture, every=True))
    assert len(boxes) == 2 and 100 < boxes[0] < 200 < 700 < boxes[1]
    assert len(faces.detect(crops["hopper"], every=True)) == 1


def test_nearest_to_the_centre_comes_first(crops):
    picture = on_canvas(crops["astronaut"], 400, 600, 10, 100, 200)
    other = on_canvas(crops["hopper"], 400, 600, 260, 100, 200)
    picture[:, 240:] = other[:, 240:]
    found = faces.detect(picture)
    assert len(found) == 2 and found[0].box[0] > 240 > found[1].box[0]


def test_no_face_in_noise_and_plain_pictures(rng):
    noise = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    blobs = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((400, 300))
    gradient = np.repeat(np.linspace(0, 255, 200, dtype=np.uint8)[:, None, None], 3, 2)
    pictures = [noise, np.asarray(blobs), np.repeat(gradient, 150, 1), noise[:1, :1], noise[:, :3]]
    pictures += [np.full((224, 224, 3), value, np.uint8) for value in (0, 128, 255)]
    assert faces.detect_batch(pictures) == [[]] * len(pictures)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_only_rgb_bytes(image):
    with pytest.raises(ValueError, match="uint8 RGB"):
        faces.detect(image)

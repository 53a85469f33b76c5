"""The photographs of `make demo`: with something before it, each face is still found."""

import numpy as np
from PIL import Image

from launch import demo_pictures
from ofer_jax import faces


def test_each_photograph_has_an_occluded_copy_whose_face_is_found(tmp_path):
    files = demo_pictures.make(tmp_path)
    assert len(files) == 4
    for plain, hidden in zip(files[::2], files[1::2], strict=True):
        before, after = (np.asarray(Image.open(path).convert("RGB")) for path in (plain, hidden))
        (face,) = faces.detect(after)
        x0, y0, x1, y1 = face.box.astype(int)
        changed = (before != after).any(-1)[y0:y1, x0:x1].mean()
        assert 0.05 < changed < 0.7
        assert face.presence > 0.5


def test_marks_follow_the_68_landmarks():
    points = faces.detect(np.asarray(Image.open(demo_pictures.PHOTOS / "astronaut.jpg")))[0].points
    marks = points[list(demo_pictures.MARKS), :2]
    assert marks.shape == (68, 2)
    right_eye, left_eye, mouth = marks[36:42].mean(0), marks[42:48].mean(0), marks[48:].mean(0)
    assert right_eye[0] < mouth[0] < left_eye[0]  # the subject's right is the picture's left
    assert marks[8, 1] > mouth[1] > left_eye[1]  # chin, mouth, eyes from below
    np.testing.assert_allclose(marks[30], points[4, :2], atol=0.3 * (left_eye - right_eye)[0])

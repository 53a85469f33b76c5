"""What the made-up sets promise to those who prepare them."""

from data_pipelines import sets
from ofer_jax import faces, photos
from tests import made_up_sets


def test_a_face_is_found_in_good_pictures_and_none_in_hard_ones(tmp_path):
    made = made_up_sets.make("lyhm", tmp_path, people=1, pictures=1)
    entries = sets.read("lyhm", tmp_path).entries
    by_name = {(each.subject, each.name): each.picture for each in entries}
    good = photos.read(by_name["F0000", "img_00"]).image
    blank = photos.read(by_name["M0001", "faceless"]).image
    found, none = faces.detect_batch([good, blank])
    assert len(found) == 1 and found[0].score > 0.8 and not none
    assert set(made.hard.values()) == {"damaged", "faceless", "tiny"}
    for name in ("damaged", "tiny"):
        try:
            photos.read(by_name["M0001", name])
        except photos.PhotoError:
            continue
        raise AssertionError(f"{name} was read")

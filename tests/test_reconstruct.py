"""The chain on a real photograph with an untrained bundle: order, company, pose, errors."""

import dataclasses
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import ofer_jax
from ofer_jax import bundle, camera, flame, openhead, photos, reconstruct, sheet
from tests import untrained

PHOTOS = Path(__file__).resolve().parents[1] / "launch" / "demo_photos"
ASTRONAUT, HOPPER = PHOTOS / "astronaut.jpg", PHOTOS / "grace_hopper.jpg"
FEW = {"shapes": 6, "expressions": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return untrained.save(tmp_path_factory.mktemp("reconstruct") / "bundle")


@pytest.fixture(scope="module")
def reconstructor(folder):
    return ofer_jax.load(folder)


@pytest.fixture(scope="module")
def result(reconstructor):
    return reconstructor(ASTRONAUT, **FEW)


def _same(a: reconstruct.Reconstruction, b: reconstruct.Reconstruction) -> bool:
    names = ("shapes", "scores", "expressions", "jaws", "camera", "global_rotation", "spread")
    names += ("mean_shape", "mean_vertices")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def test_shapes_come_best_first_with_their_vertices(reconstructor, result):
    assert result.shapes.shape == (6, 300)
    assert (np.diff(result.scores) <= 0).all()
    expected = flame.vertices(reconstructor.head, shape=result.shapes)
    np.testing.assert_allclose(result.vertices, expected, atol=1e-6)
    assert result.expression_vertices.shape == (3, reconstructor.head.num_vertices, 3)
    assert 0 <= result.expression < 3


def test_the_mean_of_the_samples_stands_beside_the_best(reconstructor, result):
    np.testing.assert_allclose(result.mean_shape, result.shapes.mean(0), atol=1e-6)
    expected = flame.vertices(reconstructor.head, shape=result.mean_shape[None])[0]
    np.testing.assert_allclose(result.mean_vertices, expected, atol=1e-6)


def test_the_sheet_shows_the_mean_before_the_best(reconstructor, result):
    mean, *best = sheet._identities(result, reconstructor.surface, 2)
    assert len(best) == 2
    assert (np.asarray(mean) != np.asarray(best[0])).any()
    alike = dataclasses.replace(result, mean_vertices=result.vertices[0])
    mean, *best = sheet._identities(alike, reconstructor.surface, 2)
    np.testing.assert_array_equal(mean, best[0])


def test_posed_head_and_landmarks_hang_together(reconstructor, result):
    i = result.expression
    posed = flame.vertices(
        reconstructor.head,
        shape=result.shapes[:1],
        expression=result.expressions[i : i + 1],
        jaw=result.jaws[i : i + 1],
        global_rotation=result.global_rotation[None],
    )
    np.testing.assert_allclose(result.posed_vertices, posed[0], atol=2e-6)
    landmarks = flame.landmarks(reconstructor.head, posed)[0]
    np.testing.assert_allclose(result.landmarks, landmarks, atol=2e-6)
    pixels = camera.project(landmarks, result.camera)
    np.testing.assert_allclose(result.landmarks_px, pixels, atol=0.05)


def test_the_head_lies_on_the_face(result):
    """Even an untrained bundle's head is put where the face is, upright and to scale."""
    x0, y0, x1, y1 = result.face.box
    eyes = result.landmarks_px[36:48].mean(0)
    assert x0 < eyes[0] < x1
    assert y0 < eyes[1] < y1
    detected = result.face.points[:, :2]
    apart = np.linalg.norm(detected[33] - detected[263])  # outer eye corners
    found = np.linalg.norm(result.landmarks_px[36] - result.landmarks_px[45])
    assert 0.7 < found / apart < 1.4
    assert np.linalg.norm(result.global_rotation) < 1.0
    assert result.camera_error < 0.15 * (x1 - x0)


def test_same_photograph_and_seed_same_result_in_any_company(reconstructor, result):
    pair = reconstructor([HOPPER, ASTRONAUT], **FEW)
    assert _same(pair[1], result)
    assert not _same(pair[0], result)
    renamed = reconstructor(photos.read(ASTRONAUT).image, **FEW)
    assert _same(renamed, result)
    assert not np.array_equal(reconstructor(ASTRONAUT, seed=1, **FEW).shapes, result.shapes)


def test_a_chunk_of_faces_gives_what_each_alone_gives(folder, result):
    several = ofer_jax.load(folder)
    several.chunk = 4
    results = several([HOPPER, ASTRONAUT, HOPPER], **FEW)  # three, and one in vain
    assert list(several._programs) == [(6, 3, 4)]
    np.testing.assert_allclose(results[1].shapes, result.shapes, atol=1e-4)
    np.testing.assert_allclose(results[1].mean_vertices, result.mean_vertices, atol=1e-6)
    np.testing.assert_allclose(results[1].landmarks_px, result.landmarks_px, atol=0.01)
    assert _same(results[0], results[2])


def test_kernels_in_bfloat16_change_little(folder, result):
    rough = ofer_jax.load(folder, dtype="bfloat16")(ASTRONAUT, **FEW)
    assert not np.array_equal(rough.expressions, result.expressions)
    np.testing.assert_allclose(rough.expressions, result.expressions, atol=0.03)
    np.testing.assert_allclose(rough.shapes.mean(0), result.shapes.mean(0), atol=0.03)
    with pytest.raises(ValueError, match="dtype is 'float16'; use one of float32, bfloat16"):
        ofer_jax.load(folder, dtype="float16")


def test_several_faces(reconstructor):
    one = Image.open(ASTRONAUT).crop((110, 0, 340, 230)).resize((400, 400))
    two = Image.open(HOPPER).crop((130, 110, 410, 390)).resize((400, 400))
    both = np.concatenate([np.asarray(one), np.asarray(two)], axis=1)
    nearest = reconstructor(both, **FEW)
    assert "2 faces" in " ".join(nearest.notes)
    each = reconstructor(both, all_faces=True, **FEW)
    assert [r.number for r in each] == [0, 1]
    assert _same(each[0], nearest)
    assert abs(each[0].landmarks_px[:, 0].mean() - each[1].landmarks_px[:, 0].mean()) > 200


def test_a_hidden_face_is_posed_by_the_six_points(reconstructor):
    (found,) = reconstructor.find(photos.read(ASTRONAUT))
    wrong = found.face.points[::-1]
    hidden = dataclasses.replace(found.face, presence=0.1, points=wrong)
    (result,) = reconstructor.run([dataclasses.replace(found, face=hidden)], **FEW)
    eyes = result.landmarks_px[36:48].mean(0)
    assert np.abs(eyes - found.face.keypoints[:2].mean(0)).max() < 15
    assert np.linalg.norm(result.global_rotation) < 1.0


def test_doubts_are_noted(reconstructor):
    (found,) = reconstructor.find(photos.read(ASTRONAUT))
    hidden = dataclasses.replace(found.face, presence=0.1, box=np.array([5.0, 5.0, 25.0, 25.0]))
    notes = " ".join(reconstruct._doubts(hidden))
    assert "hidden" in notes
    assert "small (20 pixels" in notes


def test_no_face_is_one_line(reconstructor):
    with pytest.raises(photos.PhotoError, match=r"^blank: no face found$"):
        reconstructor(photos.from_array(np.full((200, 200, 3), 128, np.uint8), "blank"))


def test_spread_ignores_rigid_motion():
    rng = np.random.default_rng(0)
    head = rng.normal(0, 0.05, (60, 3)).astype(np.float32)
    angles = np.float32([0.0, 0.2, -0.3])
    turn = np.stack(
        [[[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]] for a in angles]
    )
    moved = np.einsum("vj,kij->kvi", head, turn).astype(np.float32)
    still = reconstruct.chain.spread(jax.numpy.asarray(moved), np.arange(40))
    assert float(still.max()) < 2e-3  # the mean of turned heads is a little smaller than each
    grown = np.stack([head, head * 1.1, head * 0.9]).astype(np.float32)
    found = np.asarray(reconstruct.chain.spread(jax.numpy.asarray(grown), np.arange(60)))
    centred = head - head.mean(0)
    expected = np.linalg.norm(centred, axis=1) * np.sqrt(2 / 3) * 0.1
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_counts_are_checked(reconstructor):
    with pytest.raises(ValueError, match="at least 2 and 1"):
        reconstructor(ASTRONAUT, shapes=1)


def test_a_bundle_of_another_head_is_refused(folder, tmp_path):
    other = bundle.load(folder)
    other.config["head"] = {"name": "someone else's", "sha256": "1" * 64}
    bundle.save(other, tmp_path / "other")
    with pytest.raises(ValueError, match='trained on head "someone else\'s"'):
        ofer_jax.load(tmp_path / "other")


def test_only_the_head_that_is_used_is_read(folder, tmp_path, monkeypatch):
    """A copy of the open head is known by its hash; a surface that is given counts with any."""
    copy, given, read = tmp_path / "copy.npz", tmp_path / "surface.npz", []
    shutil.copyfile(openhead.head_path(), copy)
    np.savez(given, region_face=np.arange(9), region_front=openhead.surface()["region_front"])
    load = flame.load
    monkeypatch.setattr(flame, "load", lambda path: read.append(path) or load(path))
    assert ofer_jax.load(folder, copy).surface is openhead.surface()
    for head in (copy, None):
        found = ofer_jax.load(folder, head, given).surface
        np.testing.assert_array_equal(found["region_face"], np.arange(9))
    assert read == [copy, copy, openhead.head_path()]


def test_parameters_that_do_not_fit_are_one_line(folder, tmp_path):
    other = bundle.load(folder)
    del other.params["expgen"]["net"]
    bundle.save(other, tmp_path / "other")
    with pytest.raises(ValueError, match="bundle: parameters do not fit") as caught:
        ofer_jax.load(tmp_path / "other")(ASTRONAUT, **FEW)
    assert "\n" not in str(caught.value)


def test_features_of_another_size_are_refused(folder, tmp_path):
    other = bundle.load(folder)
    other.config["tasks"]["idgen"]["features"]["size"] = 512
    bundle.save(other, tmp_path / "other")
    with pytest.raises(ValueError, match="idgen takes 512 features"):
        ofer_jax.load(tmp_path / "other")

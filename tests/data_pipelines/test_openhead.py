"""The committed open head: what a user of FLAME's layout may rely on."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from data_pipelines.openhead import build, expressions, rig
from ofer_jax import flame, openhead


@pytest.fixture(scope="module")
def surface() -> dict[str, np.ndarray]:
    return openhead.surface()


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def test_has_flames_layout(head):
    assert head.v_template.shape == (5023, 3)
    assert head.shapedirs.shape == (5023, 3, 300)
    assert head.exprdirs.shape == (5023, 3, 100)
    assert head.parents == (-1, 0, 1, 1, 1)
    np.testing.assert_allclose(np.asarray(head.lbs_weights).sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(np.asarray(head.J_regressor).sum(1), 1, atol=1e-4)


def test_mean_is_a_symmetric_head_of_human_size_facing_z(head, surface):
    mean = np.asarray(head.v_template)
    np.testing.assert_allclose(mean, mean[surface["symmetry"]] * [-1, 1, 1], atol=1e-6)
    ears = mean[surface["region_ears"]]
    assert 0.13 < np.ptp(ears[:, 0]) < 0.22
    assert mean[surface["region_face"], 2].mean() > ears[:, 2].mean() + 0.05


def test_triangles_face_outwards_in_the_mean_and_in_drawn_heads(head, surface):
    faces = np.asarray(head.faces)
    rest = _normals(np.asarray(head.v_template), faces)
    assert np.linalg.norm(rest, axis=1).min() > 0
    in_face = np.isin(faces, surface["region_face"]).all(1)
    assert (rest[in_face, 2] > 0).mean() > 0.9
    shape = np.random.default_rng(0).standard_normal((20, 300)).astype(np.float32)
    for drawn in np.asarray(flame.vertices(head, shape=jnp.asarray(shape))):
        flipped = (np.sum(_normals(drawn, faces) * rest, axis=1) < 0).mean()
        assert flipped < 0.01


def test_jaw_opens_the_mouth_and_eyes_turn_rigidly(head, surface):
    jaw = jnp.array([[float(surface["jaw_open"]), 0.0, 0.0]])
    eyes = jnp.array([[0.2, 0.3, 0.0, 0.2, 0.3, 0.0]])
    rest, opened, looking = (
        np.asarray(flame.vertices(head, **pose)[0]) for pose in ({}, {"jaw": jaw}, {"eyes": eyes})
    )
    marks = np.asarray(flame.landmarks(head, jnp.stack([rest, opened])))
    gap = marks[:, 62, 1] - marks[:, 66, 1]  # inner lips
    assert gap[1] - gap[0] > 0.02
    left = surface["region_left_eye"]
    spread = [np.linalg.norm(v[left] - v[left].mean(0), axis=1) for v in (rest, looking)]
    np.testing.assert_allclose(spread[0], spread[1], atol=1e-5)
    still = np.setdiff1d(np.arange(5023), surface["region_eyes"])
    np.testing.assert_allclose(rest[still], looking[still], atol=1e-6)


def test_landmarks_lie_where_their_names_say(head):
    marks = np.asarray(flame.landmarks(head, flame.vertices(head))[0])
    assert marks[36, 0] < marks[39, 0] < 0 < marks[42, 0] < marks[45, 0]  # eye corners
    assert marks[48, 0] < 0 < marks[54, 0]  # mouth corners, the subject's right first
    assert marks[27, 1] > marks[33, 1] > marks[51, 1] > marks[57, 1] > marks[8, 1]
    assert marks[30, 2] == marks[17:, 2].max()  # the tip of the nose sticks out
    pairs = marks[:8] - marks[16:8:-1] * [-1, 1, 1]
    np.testing.assert_allclose(pairs, 0, atol=1e-3)


def test_contour_moves_smoothly_with_the_yaw(head):
    yaws = np.deg2rad(np.arange(-39, 40))
    turns = jnp.stack([jnp.array([0.0, yaw, 0.0], jnp.float32) for yaw in yaws])
    rest = jnp.broadcast_to(flame.vertices(head), (len(yaws), 5023, 3))
    contour = flame.contour_landmarks(head, rest, turns, jnp.zeros((len(yaws), 3)))[:, :17]
    assert np.linalg.norm(np.diff(np.asarray(contour), axis=0), axis=-1).max() < 0.006


def test_expression_coefficients_give_the_units_and_have_unit_rms(head, surface):
    names = [str(n) for n in surface["unit_names"]]
    rng = np.random.default_rng(0)
    drawn = np.stack([expressions.draw_activations(rng, names, 0.0) for _ in range(2000)])
    rms = np.sqrt(np.square(drawn @ surface["unit_to_expression"]).mean(0))
    np.testing.assert_allclose(rms[:20], 1, atol=0.2)
    one = np.eye(len(names))[names.index("eyeBlinkLeft")] @ surface["unit_to_expression"]
    moved = np.asarray(head.exprdirs) @ one.astype(np.float32)
    assert np.asarray(head.v_template)[np.abs(moved).sum(1).argmax(), 0] > 0  # the left eye


def test_quantisation_stays_below_a_sixteenth_of_a_millimetre():
    rng = np.random.default_rng(0)
    sizes = 0.004 * 0.97 ** np.arange(300)  # metres, as the open head's modes fall
    modes = rng.standard_normal((200, 3, 300)) * sizes
    stored = build._quantised("x", modes)
    error = stored["x"] * stored["x_scale"] - modes
    drawn = np.linalg.norm(error @ rng.standard_normal((300, 50)), axis=1)
    assert np.sqrt(np.square(drawn).mean()) < 6e-5


def test_saved_bytes_depend_on_the_arrays_alone(tmp_path: Path):
    arrays = {"b": np.arange(3.0), "a": np.array("name")}
    for name in ("one.npz", "two.npz"):
        build.save(tmp_path / name, arrays)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_jaw_corrective_reproduces_the_sculpted_jaw():
    rng = np.random.default_rng(0)
    mean, joint = rng.standard_normal((50, 3)) * 0.05, np.zeros(3)
    weights = np.zeros((50, 5))
    weights[:, rig.JAW] = rng.random(50)
    weights[:, rig.NECK] = 1 - weights[:, rig.JAW]
    turn = rig.about_x(np.deg2rad(20)) - np.eye(3)
    sculpted = weights[:, [rig.JAW]] * (mean @ turn.T) + 1e-3 * rng.standard_normal((50, 3))
    angle, posedirs = rig.jaw_opening(mean, weights, joint, sculpted)
    feature = np.zeros(36)
    feature[9:18] = (rig.about_x(angle) - np.eye(3)).ravel()
    posed = mean + posedirs @ feature
    blend = np.eye(3) + weights[:, rig.JAW, None, None] * (rig.about_x(angle) - np.eye(3))
    np.testing.assert_allclose(np.einsum("vij,vj->vi", blend, posed), mean + sculpted, atol=1e-9)

"""A look at a data set: its figures, and whether points and meshes lie where they belong."""

import json

import numpy as np
import pytest

from data_pipelines import inspection, pairs
from data_pipelines.synthetic import example
from ofer_jax import camera, flame
from tests import squares


@pytest.fixture(scope="module")
def drawn():
    return {**example.make(11, 1), "number": 1}


@pytest.fixture(scope="module")
def photographed(drawn):
    """The same picture as a set of photographs has it: no camera, no rotation, no occluder."""
    own = ("image", "landmarks", "shape", "expression", "jaw", "neck", "eyes", "number")
    crops = {"crop_112": drawn["image"][::2, ::2], "to_112": np.eye(2, 3, dtype=np.float32) / 2}
    five = drawn["landmarks"][[36, 45, 30, 48, 54]]
    return {n: drawn[n] for n in own} | crops | {"five": five, "global_rotation": np.zeros(3)}


def test_meshes_lie_on_the_landmarks(head, drawn, photographed):
    """As drawn to half a pixel; with a fitted camera to three, since the jaw line slides."""
    for pair, most in ((drawn, 0.5), (photographed, 3.0)):
        ((vertices, seen),) = inspection._meshes([pair], head)
        points = flame.landmarks(head, vertices[None])[0]
        off = np.linalg.norm(camera.project(points, seen) - pair["landmarks"], axis=1)
        assert np.median(off) < most and off[17:].max() < 2 * most + 1


def test_a_row_shows_points_mesh_hidden_face_and_arcface_crop(head, drawn, photographed):
    assert inspection.sheet([drawn, drawn], head, 0, columns=1).shape[1] == 3 * 224 + 12
    row = inspection._row(photographed, *inspection._meshes([photographed], head), head, 0)
    assert row.shape == (224, 3 * 224 + 112, 3)
    assert (row[:, 224:448] != photographed["image"]).any(2).mean() > 0.1
    assert inspection.sheet([photographed], None, 0).shape[1] == 2 * 224 + 112 + 12


@pytest.mark.parametrize(("kind", "outlined"), [("cup", True), ("blur", False)])
def test_only_what_has_an_outline_is_outlined(drawn, kind, outlined):
    shown = inspection._hidden({**drawn, "occluder": kind}, 0)
    assert (shown == inspection.RED).all(2).any() == outlined
    assert not (drawn["occluded"] == inspection.RED).all(2).any()


def test_points_that_are_not_in_the_picture_are_left_out():
    points = np.array([[2.0, 3.0], [np.nan, 1], [-40, 2], [9, 900]])
    out = inspection.dotted(np.zeros((9, 9, 3), np.uint8), points)
    y, x = np.nonzero((out == inspection.GREEN).all(2))
    assert set(zip(x.tolist(), y.tolist(), strict=True)) == {(2, 3), (3, 3), (2, 4), (3, 4)}


def test_figures(tmp_path):
    squares.build(tmp_path / "set", train=4, validation=1, test=1)
    reasons = ["no face", "no face", "low score"]
    lines = [json.dumps({"subject": "a", "reason": reason}) for reason in reasons]
    (tmp_path / "set" / "rejected.jsonl").write_text("\n".join(lines))
    found = inspection.sample(tmp_path / "set", "train", 0)
    told = inspection.report(tmp_path / "set", found)
    assert sorted(pair["number"] for pair in found) == [2, 3, 4, 5]
    assert "rejected when built: 3 (2 no face, 1 low score)" in told
    assert "occluder: 4 hat" in told and "of 4 records" in told
    assert found[0]["number"] != inspection.sample(tmp_path / "set", "train", 1)[0]["number"]


def test_what_is_not_finite_is_said(monkeypatch):
    assert "not finite in 2 records" in inspection.histogram("x", np.array([1, np.nan, np.inf]), "")
    assert inspection.histogram("x", np.zeros(3), "mm").endswith("0.00 in all")
    line = inspection.histogram("x", np.array([0.0, 1, 1]), "mm")
    assert line.endswith("mm, mean 0.67") and line.split("|")[1][-1] == "█"


def test_the_head_is_known_by_its_hash(head, monkeypatch):
    card = {"head": {"sha256": head.sha256}}
    monkeypatch.setattr(inspection.data_card, "read", lambda _: card)
    assert inspection.head_of("set", [head]) is head
    card["head"]["sha256"] = "0" * 64
    assert inspection.head_of("set", [head]) is None
    assert pairs.kind(card) == "open_head" and pairs.kind({"kind": "faces"}) == "faces"

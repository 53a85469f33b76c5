"""The checks on made-up photographs, with a toy bundle and a detector that is told what it sees."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ofer_jax import faces, photos, reconstruct
from ofer_jax.photo_checks import answers, report
from ofer_jax.reconstruct import Found
from tests import toy


def face(rng: np.random.Generator, presence: float) -> faces.Face:
    points = np.concatenate([rng.uniform(10, 90, (468, 2)), np.zeros((468, 1))], axis=1)
    box = np.array([20.0, 20, 80, 80])
    return faces.Face(box, np.zeros((6, 2)), 0.9, points, presence, np.zeros((5, 2)))


def find(photo: photos.Photo) -> list[Found]:
    """A face in each picture but the dark one and the second one's mirror image."""
    if photo.image.max() < 60 or photo.name == "1 mirrored":
        raise photos.PhotoError(f"{photo.name}: no face found")
    presence = 0.2 if photo.name.startswith("2") else 1.0
    return [Found(photo, face(np.random.default_rng(3), presence), 0, ())]


@pytest.fixture(scope="module")
def reconstructor() -> SimpleNamespace:
    rng = np.random.default_rng(0)
    head = toy.head()
    surface = {
        "region_face": toy.REGION,
        "region_front": toy.REGION,
        "symmetry": np.arange(head.num_vertices) ^ 1,
        "mesh_faces_idx": rng.integers(0, 60, 468),
        "mesh_bary_coords": rng.dirichlet(np.ones(3), 468).astype(np.float32),
        "mesh_weight": np.ones(468, np.float32),
    }
    bundle = toy.random_bundle(jax.random.key(0), head, toy.FEATURES)
    return SimpleNamespace(head=head, bundle=bundle, surface=surface, sees="open", find=find)


@pytest.fixture(autouse=True)
def compiled_once(reconstructor, drawing, monkeypatch: pytest.MonkeyPatch) -> None:
    def program(given, samples: int, expressions: int):
        assert (given, samples, expressions) == (reconstructor, 5, 2)
        return drawing

    monkeypatch.setattr(answers, "program", program)


@pytest.fixture(scope="module")
def drawing(reconstructor) -> answers.Draw:
    return answers.program(reconstructor, 5, 2)


@pytest.fixture(scope="module")
def pictures() -> list[photos.Photo]:
    """Four pictures of noise, the last one dark."""
    rng = np.random.default_rng(1)
    tops = (255, 255, 255, 50)
    return [
        photos.Photo(str(i), rng.integers(0, top, (100, 100, 3)).astype(np.uint8))
        for i, top in enumerate(tops)
    ]


def look(found: list[Found], sees: str) -> np.ndarray:
    """Features that tell the photograph, whatever was done to it."""
    assert sees == "open"
    return np.stack(
        [np.random.default_rng(int(one.photo.name[0])).normal(size=toy.FEATURES) for one in found]
    ).astype(np.float32)


def test_faces_that_are_told_apart(
    reconstructor, pictures: list[photos.Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruct, "seen_by", look)
    found = answers.run(reconstructor, pictures, samples=5, expressions=2, rounds=10)
    assert found["photographs"] == ["0", "1", "2"] and found["no face"] == ["3"]
    own = found["consistency"]["mean"]
    for name in ("re-cropped", "dimmed", "recompressed"):
        assert own["variants"][name]["area"]["value"] == 1
        assert own["variants"][name]["same_mm"] == pytest.approx(0, abs=1e-3)
        assert own["variants"][name]["lost"] == 0
    # The toy's answers are no mirror images; the second one's face is lost.
    assert own["variants"]["mirrored"]["same_mm"] > 0.1
    assert own["variants"]["mirrored"]["lost"] == 1
    assert own["spread"]["value"] > 0
    # Reprojection leaves out the face that the detector is not sure of.
    assert found["reprojection"]["of"] == ["0", "1"]
    assert found["reprojection"]["rows"].keys() == {"mean face", "mean of the samples", "ranked"}
    about = {"head": reconstructor.head.identity, "bundle": "b", "samples": 5}
    text = report.table(found | about | {"expressions": 2, "seed": 0})
    assert "3 photographs, 1 more without a face" in text


def test_a_constant_answer_has_no_spread(
    reconstructor, pictures: list[photos.Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reconstruct, "seen_by", lambda found, _: np.ones((len(found), toy.FEATURES), np.float32)
    )
    found = answers.run(reconstructor, pictures, samples=5, expressions=2, rounds=10)
    assert found["consistency"]["mean"]["spread"]["value"] == pytest.approx(0, abs=1e-4)


def test_known_heads_have_the_truth_in_a_row(
    reconstructor, pictures: list[photos.Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruct, "seen_by", lambda f, _: look(renamed(f), "open"))
    shapes = np.random.default_rng(4).normal(size=(4, toy.SHAPE)).astype(np.float32)
    given = list(zip([p.image for p in pictures], shapes, strict=True))
    found = answers.known(reconstructor, given, samples=5, expressions=2, rounds=10)
    assert found["photographs"] == 3
    assert "truth" in found["rows"]
    assert 0 < found["spread"] < 10


def renamed(found: list[Found]) -> list[Found]:
    return [
        Found(photos.Photo(str(i), one.photo.image), one.face, 0, ()) for i, one in enumerate(found)
    ]


def test_two_faces_are_too_few(reconstructor, pictures: list[photos.Photo]) -> None:
    with pytest.raises(ValueError, match="2 of 3 photographs show a face"):
        answers.run(reconstructor, pictures[1:])

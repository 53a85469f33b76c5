"""The folder that a bundle hands in: layout, neutral faces, resumed; pictures without a face."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ofer_jax import photos
from ofer_jax.now import files, heads, layout, submission
from tests import made_up_now as made_up


class Stub:
    """Answers with three heads; sees no face in dark pictures."""

    def __init__(self) -> None:
        self.head, self.seen = made_up.head(), []
        self.bundle = SimpleNamespace(config={"params_sha256": "f" * 64})
        rng = np.random.default_rng(0)
        self.vertices = np.stack([made_up.random_face(rng).vertices for _ in range(3)])

    def __call__(self, photo: photos.Photo, **sizes: int) -> Any:
        self.seen.append((photo.image.shape[:2], sizes))
        if photo.image.mean() < 50:
            raise photos.PhotoError(f"{photo.name}: no face found")
        return SimpleNamespace(vertices=self.vertices)


@pytest.fixture
def items(tmp_path: Path) -> list[layout.Item]:
    return layout.now(made_up.tree(tmp_path / "set", people=1).dataset)


def test_each_picture_gets_the_chosen_neutral_face(items: list, tmp_path: Path) -> None:
    stub = Stub()
    for choice, wanted in (("ranked", stub.vertices[0]), ("mean", stub.vertices.mean(0))):
        folder = tmp_path / choice
        assert submission.write(stub, items, folder, submission.Sampling(9, 4, choice)) == []
        found, missing = layout.predictions(folder, items)
        assert len(found) == 2 and not missing
        for prediction in found.values():
            mesh = files.mesh(prediction.mesh)
            np.testing.assert_allclose(mesh.vertices, wanted, atol=1e-6)
            marks = files.landmarks(prediction.landmarks)
            np.testing.assert_allclose(marks, heads.landmarks(stub.head, wanted), atol=1e-6)
    assert stub.seen[0][1] == {"seed": 4, "shapes": 9, "expressions": 1}


def test_a_killed_run_goes_on_and_another_bundle_is_refused(items: list, tmp_path: Path) -> None:
    stub, sampling = Stub(), submission.Sampling()
    submission.write(stub, items[:1], tmp_path / "out", sampling)
    submission.write(stub, items, tmp_path / "out", sampling)
    assert len(stub.seen) == 2
    with pytest.raises(ValueError, match="a submission of another seed"):
        submission.write(stub, items, tmp_path / "out", submission.Sampling(seed=1))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("")
    with pytest.raises(ValueError, match="of another origin"):
        submission.write(stub, items, tmp_path / "other", sampling)


def test_a_picture_without_a_face_is_said_and_gets_the_mean_face(
    items: list, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64)).save(items[0].picture)
    for _ in range(2):  # also said by a run that goes on
        failures = submission.write(Stub(), items, tmp_path / "out", submission.Sampling())
        assert len(failures) == 1 and "the mean face stands for it" in failures[0]
    mean = np.asarray(made_up.head().v_template)
    mesh = files.mesh(tmp_path / "out" / f"{items[0].image}.obj")
    np.testing.assert_allclose(mesh.vertices, mean, atol=1e-6)
    record = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert list(record["failed"]) == [items[0].image]


@pytest.mark.parametrize("plain", [False, True])
def test_the_data_sets_box_cuts_the_picture(items: list, tmp_path: Path, plain: bool) -> None:
    Image.new("RGB", (400, 300), "white").save(items[0].picture)
    box = items[0].box
    box.parent.mkdir(parents=True)
    sides = {"left": 100.0, "top": 80.0, "right": 160.0, "bottom": 150.0}
    np.save(box, list(sides.values()) if plain else np.array(sides), allow_pickle=True)
    stub = Stub()
    submission.write(stub, items[:1], tmp_path / "out", submission.Sampling())
    assert stub.seen[0][0] == (182, 172)

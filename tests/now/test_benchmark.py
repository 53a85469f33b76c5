"""A made-up NoW tree from its folders to the table, with every mistake that people make."""

import functools
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import flame
from ofer_jax.now import benchmark, checks, files, heads, layout, run
from ofer_jax.now.benchmark import Plan
from ofer_jax.now.protocol import Face, Settings
from tests import made_up_now as made_up
from tests.made_up_now import Tree


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return made_up.tree(tmp_path_factory.mktemp("now"))


@pytest.fixture
def tree(sound: Tree, tmp_path: Path) -> Tree:
    """Predictions of its own, for a test to spoil."""
    shutil.copytree(sound.predictions, tmp_path / "predictions")
    return Tree(sound.dataset, tmp_path / "predictions", sound.images)


@functools.cache
def neutral() -> checks.Neutral:
    return heads.neutral(made_up.head())


def plan(tree: Tree, metrical: bool = False, **rest) -> Plan:
    settings = Settings(metrical=metrical)
    return Plan("made up", layout.now(tree.dataset), tree.predictions, settings, **rest)


def found(tree: Tree, **rest) -> tuple[list[str], list[str]]:
    findings = benchmark.look(plan(tree, **rest), neutral())
    assert all("\n" not in line for line in findings.errors + findings.notes)
    return findings.errors, findings.notes


def read(tree: Tree, image: str) -> Face:
    mesh = files.mesh(tree.predictions / f"{image}.obj")
    marks = files.landmarks(tree.predictions / f"{image}.npy")
    return Face(mesh.vertices, mesh.triangles, marks)


def test_a_sound_tree_has_no_faults_and_gives_the_table(sound: Tree, tmp_path: Path) -> None:
    assert found(sound) == ([], [])
    report = benchmark.evaluate(plan(sound), made_up.head(), tmp_path)
    prediction, mean, truth = report["rows"]
    assert prediction == "prediction" and mean.startswith("mean face of 'open-head")
    assert set(report["rows"]["prediction"]) == {"all", "multiview_neutral", "selfie"}
    median = {row: cells["all"]["median"] for row, cells in report["rows"].items()}
    assert median[truth]["value"] < 1e-5
    assert 0.2 < median["prediction"]["value"] < median[mean]["value"] < 5
    assert median["prediction"]["low"] <= median["prediction"]["value"]
    assert median["prediction"]["value"] <= median["prediction"]["high"]
    assert (report["pictures"], report["people"], report["failed"]) == (4, 2, {})
    benchmark.write(report, tmp_path)
    assert "| prediction, selfie" in (tmp_path / "report.md").read_text()


def test_pooled_figures_are_those_of_all_distances(sound: Tree, tmp_path: Path) -> None:
    items = layout.chosen(layout.now(sound.dataset), ["selfie"])
    only = Plan("made up", items, sound.predictions, Settings())
    report = benchmark.evaluate(only, made_up.head(), tmp_path)
    kept = [np.load(p)["distances"] for p in tmp_path.glob("distances/prediction/**/*.npz")]
    cells = report["rows"]["prediction"]["all"]
    assert len(kept) == 2
    assert cells["median"]["value"] == pytest.approx(np.median(np.concatenate(kept)))
    assert cells["std"]["value"] == pytest.approx(np.std(np.concatenate(kept), dtype=float))


def test_a_killed_run_goes_on_and_changed_files_are_measured_anew(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []

    def counted(scan, prediction, settings):
        if len(measured) == 3:
            measured.append(0)
            raise KeyboardInterrupt
        measured.append(1)
        return np.linalg.norm(prediction.vertices[:100], axis=1)

    monkeypatch.setattr(run.protocol, "distances", counted)
    with pytest.raises(KeyboardInterrupt):
        benchmark.evaluate(plan(tree), made_up.head(), tmp_path)
    first = benchmark.evaluate(plan(tree), made_up.head(), tmp_path)
    assert sum(measured) == 8  # four pictures, two mean faces, two truths: each once
    made_up.predict(tree.predictions, tree.images[0], made_up.random_face(np.random.default_rng(5)))
    second = benchmark.evaluate(plan(tree), made_up.head(), tmp_path)
    assert sum(measured) == 9
    assert first["rows"]["prediction"] != second["rows"]["prediction"]


def test_one_picture_that_cannot_be_measured_stops_no_other(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(tree)
    monkeypatch.setattr(run.protocol, "distances", lambda *_: np.ones(5))
    (tree.predictions / f"{tree.images[0]}.obj").write_text("v 1 2\n")
    report = benchmark.evaluate(made, made_up.head(), tmp_path)
    assert list(report["failed"]) == [f"prediction/{tree.images[0]}"]
    assert "prediction" in report["rows"]
    assert any("not a sound mesh" in note for note in report["notes"])


def test_metres_called_millimetres_are_named(tree: Tree) -> None:
    errors, _ = found(tree, unit="mm", metrical=True)
    assert len(errors) == 4
    assert all("that is m; say --unit m" in error for error in errors)
    assert found(tree, unit="m", metrical=True)[0] == []
    assert "needs the meshes' unit" in found(tree, metrical=True)[0][0]


def test_predictions_of_two_units_are_named(tree: Tree) -> None:
    made_up.predict(tree.predictions, tree.images[0], read(tree, tree.images[0]), unit=1000.0)
    errors, _ = found(tree)
    assert len(errors) == 1
    assert "different units" in errors[0] and " in mm" in errors[0] and " in m;" in errors[0]


def test_landmarks_of_another_unit_than_the_mesh_are_named(tree: Tree) -> None:
    path = tree.predictions / f"{tree.images[0]}.npy"
    np.save(path, 1000 * np.load(path))
    errors, _ = found(tree)
    assert len(errors) == 1 and errors[0].startswith(str(path)) and "one unit" in errors[0]


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ([3, 2, 1, 0, 4, 6, 5], "outer corner of the right eye in row 4"),
        ([0, 1, 2, 3, 5, 6, 4], "nose bottom in row 7"),
        ([1, 0, 2, 3, 4, 5, 6], "outer corner of the right eye in row 2"),
    ],
)
def test_swapped_landmarks_are_named(tree: Tree, order: list[int], named: str) -> None:
    path = tree.predictions / f"{tree.images[1]}.npy"
    np.save(path, np.load(path)[order])
    errors, _ = found(tree)
    assert len(errors) == 1 and errors[0].startswith(str(path)) and named in errors[0]


def test_a_mirrored_mesh_and_one_inside_out_are_named(tree: Tree) -> None:
    face = read(tree, tree.images[0])
    flip = np.array([1.0, 1.0, -1.0])
    mirrored = Face(face.vertices * flip, face.triangles, face.landmarks * flip)
    made_up.predict(tree.predictions, tree.images[0], mirrored)
    turned = Face(face.vertices, face.triangles[:, ::-1], face.landmarks)
    made_up.predict(tree.predictions, tree.images[1], turned)
    errors, notes = found(tree)
    assert len(errors) == 1 and "mirrored" in errors[0] and tree.images[0] in errors[0]
    assert len(notes) == 1 and "inside out" in notes[0] and tree.images[1] in notes[0]


def posed(**how: np.ndarray) -> Face:
    vertices = flame.vertices(made_up.head(), **{k: jnp.asarray(v) for k, v in how.items()})
    return made_up.with_landmarks(made_up.head(), np.asarray(vertices[0], np.float64))


def test_an_open_mouth_is_named_in_any_topology(tree: Tree) -> None:
    gaping = posed(jaw=np.float32([[0.2, 0, 0]]))
    made_up.predict(tree.predictions, tree.images[0], gaping)
    shuffled = Face(gaping.vertices, gaping.triangles[::-1], gaping.landmarks)
    made_up.predict(tree.predictions, tree.images[1], shuffled)
    errors, _ = found(tree)
    assert len(errors) == 2
    assert all("the mouth is open" in error for error in errors)


def test_an_expression_with_lips_closed_is_named(tree: Tree) -> None:
    expression = np.zeros((1, made_up.head().num_expression), np.float32)
    expression[0, :5] = 1.0
    face = posed(expression=expression)
    made_up.predict(tree.predictions, tree.images[0], face)
    errors, _ = found(tree)
    assert len(errors) == 1
    assert "is not zero" in errors[0] or "mouth is open" in errors[0]
    turned = posed(global_rotation=np.float32([[0.3, 0.5, 0.1]]))  # does not change the form
    made_up.predict(tree.predictions, tree.images[0], turned)
    assert found(tree)[0] == []


def test_missing_pictures_are_named(tree: Tree) -> None:
    (tree.predictions / f"{tree.images[0]}.obj").unlink()
    (tree.predictions / f"{tree.images[2]}.npy").unlink()
    errors, _ = found(tree)
    assert errors[0].startswith("2 of 4 pictures have no prediction")
    assert tree.images[0] in errors[1] and "no landmarks beside it" in errors[2]
    errors, notes = found(tree, partial=True)
    assert not errors and "figures of a part are not the benchmark's" in notes[0]


def test_a_coloured_obj_is_read_right_and_named(tree: Tree) -> None:
    face = read(tree, tree.images[0])
    made_up.predict(tree.predictions, tree.images[0], face, coloured=True)
    np.testing.assert_array_equal(read(tree, tree.images[0]).vertices, face.vertices)
    errors, notes = found(tree)
    assert not errors and "1 OBJ files hold colours" in notes[0]


def test_wrong_folders_are_named_with_the_right_one(tree: Tree, tmp_path: Path) -> None:
    items = layout.now(tree.dataset)
    with pytest.raises(ValueError, match=r"lie deeper; give --predictions .*predictions$"):
        layout.predictions(tree.predictions.parent, items)
    with pytest.raises(ValueError, match=r"a part of the predictions; give --predictions .*ions$"):
        layout.predictions(tree.predictions / items[0].subject, items)
    with pytest.raises(ValueError, match=r"no prediction of any picture of the list"):
        layout.predictions(tree.dataset / "final_release_version" / "scans", items)
    with pytest.raises(ValueError, match="no such folder"):
        layout.predictions(tmp_path / "nothing", items)
    with pytest.raises(ValueError, match="not the NoW data set"):
        layout.now(tree.predictions)


def test_scans_in_metres_are_named(tree: Tree, tmp_path: Path) -> None:
    shutil.copytree(tree.dataset, tmp_path / "copy")
    release = tmp_path / "copy" / "final_release_version"
    (scan,) = (release / "scans" / layout.now(tmp_path / "copy")[0].subject).iterdir()
    (marks,) = (release / "scans_lmks_onlypp" / scan.parent.name).iterdir()
    mesh, points = files.mesh(scan), files.landmarks(marks)
    made_up.write_obj(scan, Face(mesh.vertices, mesh.triangles, points), unit=0.001)
    made_up.write_pp(marks, 0.001 * points)
    errors, _ = found(Tree(tmp_path / "copy", tree.predictions, tree.images))
    assert len(errors) == 2 and all("of the scan" in error for error in errors)


@pytest.mark.slow
def test_several_processes_give_the_same(sound: Tree, tmp_path: Path) -> None:
    one = benchmark.evaluate(plan(sound), made_up.head(), tmp_path / "one")
    two = benchmark.evaluate(plan(sound), made_up.head(), tmp_path / "two", workers=2)
    assert one == two

"""The folders of Stirling, lists of one's own, and bundles that saw what they are measured on."""

import json
from pathlib import Path

import numpy as np
import pytest

from ofer_jax.now import layout, training
from tests import made_up_now as made_up


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_stirlings_pictures_find_their_scans(tmp_path: Path) -> None:
    for name in ("Subset/HQ/F1001_0_A.jpg", "Subset/LQ/f1001_2.JPG", "Subset/LQ/M1033_1.jpg"):
        write(tmp_path / name)
    scan = write(tmp_path / "scans" / "F1001_N.obj")
    write(tmp_path / "scans" / "F1001_smile.obj")
    marks = write(tmp_path / "annotations" / "f1001_N.lnd")
    items = layout.stirling(tmp_path)
    assert [(i.image, i.subject, i.challenge) for i in items] == [
        ("HQ/F1001_0_A", "f1001", "HQ"),
        ("LQ/f1001_2", "f1001", "LQ"),
    ]
    assert all((i.scan, i.landmarks) == (scan, marks) for i in items)
    with pytest.raises(ValueError, match="not Stirling"):
        layout.stirling(tmp_path / "scans")


def test_lists_of_ones_own(tmp_path: Path) -> None:
    path = write(
        tmp_path / "list.csv",
        "image,subject,challenge,scan,landmarks\nA/1,A,all,scans/a.ply,scans/a.txt\n",
    )
    (item,) = layout.listed(path)
    assert (item.image, item.scan) == ("A/1", tmp_path / "scans" / "a.ply")
    with pytest.raises(ValueError, match="columns scan, landmarks are missing"):
        layout.listed(write(tmp_path / "b.csv", "image,subject,challenge\nA/1,A,x\n"))
    with pytest.raises(ValueError, match="leads out"):
        layout.listed(write(tmp_path / "c.csv", path.read_text().replace("A/1", "../1")))


def test_challenges_are_chosen_by_name(tmp_path: Path) -> None:
    items = layout.now(made_up.tree(tmp_path, people=1).dataset)
    assert [i.challenge for i in layout.chosen(items, ["selfie"])] == ["selfie"]
    assert layout.chosen(items, []) == items
    with pytest.raises(ValueError, match="there are multiview_neutral, selfie"):
        layout.chosen(items, ["multiview_occlusions"])


def test_the_test_set_has_pictures_and_no_scans(tmp_path: Path) -> None:
    tree = made_up.tree(tmp_path, people=1)
    items = layout.now(tree.dataset / "final_release_version", "test")
    assert len(items) == 2 and all(i.scan is None and i.picture for i in items)
    np.testing.assert_array_equal([i.picture.is_file() for i in items if i.picture], True)


@pytest.mark.parametrize(
    ("provenance", "refused"),
    [
        ({"published": {"mode": "paper"}}, True),
        ({"idgen": {"data": {"sets": ["lyhm", "stirling"]}}}, True),
        ({"idgen": {"command": "python -m launch.train --data Stirling_HQ"}}, True),
        ({"idgen": {"data": {"sets": ["lyhm"]}}}, False),
        ({}, False),
    ],
)
def test_bundles_that_saw_stirling_are_refused(
    tmp_path: Path, provenance: dict, refused: bool
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"provenance": provenance}))
    training.check(tmp_path, "stirling", force=True)
    if not refused:
        training.check(tmp_path, "stirling", force=False)
        return
    with pytest.raises(ValueError, match="--force"):
        training.check(tmp_path, "stirling", force=False)

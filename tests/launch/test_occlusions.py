"""Rows of features to records, and the masks of what the passes drew."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_pipelines import augment, raw_pass
from data_pipelines.input import pictures
from data_pipelines.synthetic import occluders
from launch import occlusions


@pytest.fixture(scope="module")
def record() -> dict:
    """A grey picture with landmarks on an oval, as a record of a set of real pictures."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    marks = 112 + np.stack([50 * np.sin(angle), 65 * np.cos(angle)], 1)
    shade = np.random.default_rng(0).integers(60, 200, (224, 224, 3), np.uint8)
    crops = {"crop_224": shade, "crop_112": shade[::2, ::2], "image": shade}
    to_112 = np.array([[0.5, 0, 0], [0, 0.5, 0]])
    return crops | {"landmarks": marks, "to_112": to_112, "number": 77}


def test_the_mask_is_what_hides_the_crops(record: dict) -> None:
    for row in range(3):
        seen = pictures.behind(record, augment.rng(pictures.SEED, row), pictures.HIDDEN)
        changed = occluders.differ(seen["crop_224"], record["crop_224"])
        np.testing.assert_array_equal(occlusions.behind(record, row, "crops")[1], changed)
        assert changed.any()


def test_the_mask_is_what_hides_the_pictures_of_the_feature_pass(record: dict) -> None:
    (seen,), _ = raw_pass.ONE.draw(record)
    changed = occluders.differ(seen, record["image"])
    np.testing.assert_array_equal(occlusions.behind(record, 5, "open")[1], changed)


def test_rows_are_matched_past_pictures_without_a_face() -> None:
    rng = np.random.default_rng(0)
    sizes = {"shape": 4, "expression": 3, "jaw": 3}
    records = [{n: rng.normal(size=size) for n, size in sizes.items()} for _ in range(5)]
    arrays = {name: np.stack([records[i][name] for i in (0, 2, 3)]) for name in sizes}
    assert [number for number, _ in occlusions.matched(records, arrays)] == [0, 2, 3]
    arrays["shape"] = arrays["shape"] + 1
    with pytest.raises(ValueError, match="row 0 of the features fits no record"):
        list(occlusions.matched(records, arrays))


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("expressions", "--data", "nothing"),
        ("ranking", "--data", "nothing", "--sizes", "2"),
        ("ranking", "--data", "nothing", "--sizes", "two"),
        ("photos", "nothing"),
    ],
)
def test_what_is_not_there_is_one_line_and_status_2(words: tuple, root: Path) -> None:
    line = [sys.executable, "-m", "launch.evaluate", *words]
    done = subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"evaluate {words[0]}: ")
    assert len(done.stderr.splitlines()) == 1

"""Coefficients of a picture, from files in each layout."""

import numpy as np
import pytest

from data_pipelines import sets
from data_pipelines.sets.entry import (
    DAMAGED,
    NO_PARAMETERS,
    NOT_FINITE,
    WRONG_SHAPE,
    Entry,
    Fault,
    Truth,
)

SHAPE = np.linspace(-2, 2, 300)


def truth(tmp_path, dataset, kind, **arrays):
    np.savez(tmp_path / "x.npz", **arrays)
    return sets.truth(Entry(dataset, "a", "b", "", "", "", Truth(kind, str(tmp_path / "x.npz"))))


def test_a_scan_gives_identity_alone(tmp_path):
    betas = np.concatenate([SHAPE, np.ones(100)])
    for dataset, kind in (("lyhm", "mica"), ("plain", "npz")):
        found = truth(tmp_path, dataset, kind, betas=betas, pose=np.ones(15))
        np.testing.assert_array_equal(found.pop("shape"), SHAPE.astype(np.float32))
        assert found.pop("has_expression") is False
        assert not any(value.any() for value in found.values())
    odd = {"exp": np.array([None]), "pose": np.ones(72)}  # of no use for a scan, so not read
    scan = truth(tmp_path, "stirling", "ofer", shape=SHAPE, **odd)
    assert not scan["has_expression"] and not scan["expression"].any() and not scan["jaw"].any()


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (3, {"global_rotation": [0, 1, 2]}),
        (6, {"global_rotation": [0, 1, 2], "jaw": [3, 4, 5]}),
        (12, {"global_rotation": [0, 1, 2], "jaw": [3, 4, 5], "eyes": range(6, 12)}),
        (15, {"neck": [3, 4, 5], "jaw": [6, 7, 8], "eyes": range(9, 15)}),
    ],
)
def test_the_rotations_of_a_frame_are_taken_apart(tmp_path, size, found):
    pose = np.arange(float(size))[None]
    out = truth(tmp_path, "famos", "ofer", shape=SHAPE[None], exp=np.ones((1, 50)), pose=pose)
    assert out["has_expression"] and out["expression"].sum() == 50
    for name, values in found.items():
        np.testing.assert_array_equal(out[name], np.array(values, np.float32))
    own = {"expression": np.ones(100), "jaw": np.ones(3), "neck": np.full(3, 2)}
    out = truth(tmp_path, "plain", "npz", shape=SHAPE[:100], pose=pose, **own)
    assert (out["jaw"] == 1).all() and (out["neck"] == 2).all() and not out["shape"][100:].any()


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({}, WRONG_SHAPE),
        ({"shape": SHAPE[:100]}, WRONG_SHAPE),
        ({"shape": np.float64(3)}, WRONG_SHAPE),
        ({"shape": SHAPE.astype(complex)}, WRONG_SHAPE),
        ({"betas": np.zeros(350)}, WRONG_SHAPE),
        ({"shape": SHAPE, "exp": np.zeros(101)}, WRONG_SHAPE),
        ({"shape": SHAPE, "exp": np.zeros(9), "pose": np.zeros(7)}, WRONG_SHAPE),
        ({"shape": SHAPE * np.inf}, NOT_FINITE),
        ({"shape": SHAPE * 1e200}, NOT_FINITE),
        ({"shape": SHAPE, "exp": np.full(9, np.nan)}, NOT_FINITE),
        ({"shape": np.array([None] * 300)}, DAMAGED),
        ({"shape": np.zeros(1 << 18)}, DAMAGED),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_cannot_be_used_says_why(tmp_path, arrays, reason):
    with pytest.raises(ValueError) as caught:
        truth(tmp_path, "famos", "ofer", **arrays)
    assert str(caught.value) == reason and caught.value.reason == reason


def test_a_file_that_is_none_says_why(tmp_path):
    for name, reason in (("none", NO_PARAMETERS), (".", NO_PARAMETERS), ("x", DAMAGED)):
        (tmp_path / "x").write_bytes(b"PK")
        with pytest.raises(Fault, match=reason):
            sets.truth(Entry("lyhm", "a", "b", "", "", "", Truth("mica", str(tmp_path / name))))

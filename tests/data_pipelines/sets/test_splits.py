"""Splits by person: lists win, and adding people moves nobody."""

import numpy as np
import pytest

from data_pipelines import sets
from data_pipelines.sets.entry import Entry, Listing, Truth
from tests import made_up_files, made_up_sets


def listing(subjects, splits=None):
    entries = tuple(
        Entry("lyhm", subject, f"{k}", "a.jpg", "", "", Truth("mica"))
        for subject in subjects
        for k in range(3)
    )
    return Listing("lyhm", "", "mica", entries, splits=splits or {})


def places(parts):
    return {each.subject: name for name, entries in parts.items() for each in entries}


def test_no_person_is_in_two_splits_and_shares_are_kept():
    people = [f"P{k:05d}" for k in range(4000)]
    parts = sets.split(listing(people), 0.1, 0.2)
    subjects = {name: {e.subject for e in entries} for name, entries in parts.items()}
    assert sum(map(len, subjects.values())) == len(people)
    assert sum(map(len, parts.values())) == 3 * len(people)
    assert 0.08 < len(subjects["validation"]) / 4000 < 0.12
    assert 0.18 < len(subjects["test"]) / 4000 < 0.22


def test_adding_people_moves_nobody_and_neither_does_a_larger_validation_share_from_test():
    some = places(sets.split(listing([f"P{k}" for k in range(200)])))
    more = places(sets.split(listing([f"P{k}" for k in reversed(range(500))])))
    assert all(more[subject] == where for subject, where in some.items())
    larger = places(sets.split(listing(list(some)), 0.3))
    moved = {(some[s], larger[s]) for s in some if some[s] != larger[s]}
    assert moved == {("train", "validation")}


def test_the_same_name_in_two_sets_or_spellings_is_in_one_split():
    for name in ("Zoë", "F0001", "é"):
        spellings = [name, name.upper(), name.lower(), name.replace("ë", "e\u0308")]
        found = {places(sets.split(listing([each])))[each] for each in spellings}
        assert len(found) == 1


def test_given_lists_win():
    people = [f"P{k}" for k in range(50)]
    parts = sets.split(listing(people, {"P1": "test"}), 0, 0)
    assert places(parts)["P1"] == "test" and places(parts)["P2"] == "train"
    parts = sets.split(listing(people), 0.5, 0, lists={"test": ["p7"]})
    assert places(parts)["P7"] == "test" and len(parts["test"]) == 3
    parts = sets.split(listing(people), 0.5, 0.2, lists={"train": ["P3"], "validation": ["P4"]})
    assert places(parts) == {"P3": "train", "P4": "validation"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"validation": 0.7, "test": 0.7}, "shares"),
        ({"validation": -0.1}, "shares"),
        ({"validation": float("nan")}, "shares"),
        ({"lists": {"dev": ["P1"]}}, "no split 'dev'"),
        ({"lists": {"train": ["P1"], "test": ["p1"]}}, "'p1' is in the lists of both"),
    ],
)
def test_what_makes_no_split_is_one_line(options, said):
    with pytest.raises(ValueError, match=said):
        sets.split(listing(["P1"]), **options)


def test_lists_in_files(tmp_path, monkeypatch):
    monkeypatch.setattr(made_up_files, "jpeg", lambda *_: b"")
    made = made_up_sets.make("lyhm", tmp_path)
    (tmp_path / "train.txt").write_text("# mine\nf0001\r\nZoë 02\n\n", encoding="utf-8-sig")
    np.save(tmp_path / "test.npy", np.array(["wide", "nobody"]))
    lists = {"train": tmp_path / "train.txt", "test": tmp_path / "test.npy"}
    found = sets.read("lyhm", made.root, lists=lists)
    assert found.splits == {"F0001": "train", "Zoë 02": "train", "wide": "test"}
    assert {e.subject for e in found.entries} == set(found.splits)
    left, absent = found.notes
    assert left.endswith("people are on no list, and left out (Case, F0000, F0002 ...)")
    assert absent == "1 people of the lists are not in the set (nobody)"
    assert set(places(sets.split(found))) == set(found.splits)
    # A list with pictures takes the place of the set's own.
    rows = {"F0001": (["F0001/img_01.jpg"], "F0001/scan.npz")}
    made_up_files.write_list(tmp_path / "mine.npy", rows)
    found = sets.read("lyhm", made.root, lists={"train": tmp_path / "mine.npy"})
    assert [(e.subject, e.name) for e in found.entries] == [("F0001", "img_01")]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00", b"\x93NUMPY", b"a\x01b\n", b"\x80\x04cos\nsystem\n."]
)
def test_a_file_that_is_no_list_is_one_line(tmp_path, data):
    for name in ("list.txt", "list.npy"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match="is not a list of people") as caught:
            sets.read("lyhm", tmp_path, lists={"train": tmp_path / name})
        assert "\n" not in str(caught.value)

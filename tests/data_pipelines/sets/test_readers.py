"""Each set's reader on a made-up tree: all that is good, and every planted fault by its reason."""

import os

import numpy as np
import pytest

from data_pipelines import sets
from data_pipelines.sets import entry
from tests import made_up_files, made_up_sets

SHAPE_SETS = [name for name, spec in sets.SETS.items() if not spec.expressions]


@pytest.fixture(autouse=True)
def _plain_faces(monkeypatch):
    """Pictures that nobody looks at here."""
    monkeypatch.setattr(made_up_files, "jpeg", _grey)


def _grey(number: int, side: int = 224) -> bytes:
    return _GREY


_GREY = made_up_files.jpeg(-1, 32)


def outcome(made):
    """(entries that have coefficients, rejections of the listing and of the coefficients)."""
    listing = sets.read(made.dataset, made.root, **made.options)
    good, bad = {}, {(r.subject, r.name, r.reason) for r in listing.rejected}
    for each in listing.entries:
        try:
            good[each.subject, each.name] = sets.truth(each)
        except sets.Fault as fault:
            bad.add((each.subject, each.name, str(fault)))
    assert {reason for *_, reason in bad} <= set(sets.REASONS)
    return listing, good, bad


def check(made):
    listing, good, bad = outcome(made)
    assert set(good) == set(made.good)
    assert bad == set(made.planted)
    keys = [(e.subject, e.name) for e in listing.entries]
    assert keys == sorted(set(keys))
    for (subject, _), truth in good.items():
        if subject in made.shapes:
            np.testing.assert_allclose(truth["shape"], made.shapes[subject], rtol=1e-6)
        assert {name: value.shape for name, value in truth.items() if name != "has_expression"} == {
            "shape": (300,),
            "expression": (100,),
            **{"jaw": (3,), "neck": (3,), "eyes": (6,), "global_rotation": (3,)},
        }
    return listing, good


@pytest.mark.parametrize(("layout", "crops"), [("mica", False), ("mica", True), ("ofer", False)])
@pytest.mark.parametrize("listed", [True, False], ids=["list", "folders"])
@pytest.mark.parametrize("name", SHAPE_SETS)
def test_every_person_is_read_and_every_fault_found(tmp_path, name, layout, listed, crops):
    made = made_up_sets.make(name, tmp_path, layout=layout, listed=listed, crops=crops)
    listing, good = check(made)
    assert listing.layout == layout
    assert not any(truth["has_expression"] or truth["jaw"].any() for truth in good.values())
    for each in listing.entries:
        present = [bool(path) for path in (each.picture, each.crop_112, each.crop_224)]
        assert present == ([False, True, True] if crops else [True, False, False])
        assert all(os.path.isfile(p) for p in (each.picture, each.crop_112, each.crop_224) if p)
    if not listed:
        assert "the first by name" in " ".join(listing.notes)


@pytest.mark.parametrize("crops", [False, True], ids=["raw", "crops"])
@pytest.mark.parametrize("name", ["famos", "coma"])
def test_frames_of_meshes_take_the_fits_beside_them(tmp_path, monkeypatch, name, crops):
    monkeypatch.setattr(made_up_files, "head", lambda *_: b"ply")
    made = made_up_sets.make(name, tmp_path, listed=False, crops=crops)
    _, good = check(made)
    assert all(truth["has_expression"] and truth["jaw"].any() for truth in good.values())
    found = sets.meshes(name, made.root, pictures=None if crops else tmp_path / "photographs")
    assert len(found) == 3 * 2 * 2 + 3
    assert crops or sum(bool(mesh.picture) for mesh in found) == 3 * 2 * 2 + 2
    first = found[0]
    assert (first.subject, first.sequence) == ("FaceTalk_170000_TA", "bareteeth")
    assert sets.fit_path(tmp_path / "fits", first).is_file()


def test_a_list_of_frames_keeps_a_person_together(tmp_path):
    home = tmp_path / "FAMOS"
    rows = {}
    for frame in range(3):
        key = f"Ann_anger_{frame:04d}"
        made_up_files.write(home / "images" / "Ann" / f"{key}.png", _GREY)
        arrays = {"shape": np.ones(300), "exp": np.full(50, 2.0), "pose": np.arange(12.0)}
        path = home / "FLAME23_parameters" / "Ann" / "anger" / f"{frame}.npz"
        made_up_files.write_npz(path, **arrays, trans=np.zeros(3))
        rows[key] = (f"Ann/anger/{frame}.npz", [f"Ann/{key}.png"])
    made_up_files.write_list(tmp_path / "image_paths" / "FAMOS.npy", rows)
    listing = sets.read("famos", tmp_path)
    assert {(e.subject, e.name) for e in listing.entries} == {("Ann", key) for key in rows}
    truth = sets.truth(listing.entries[0])
    assert truth["has_expression"] and (truth["expression"] == [2.0] * 50 + [0.0] * 50).all()
    np.testing.assert_array_equal(truth["jaw"], [3, 4, 5])
    np.testing.assert_array_equal(truth["eyes"], np.arange(6, 12))


def test_a_csv_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(made_up_files, "head", lambda *_: b"ply")
    made = made_up_sets.make("plain", tmp_path)
    _, good = check(made)
    np.testing.assert_allclose(good["Zoë", "photos/é"]["shape"][:4], [0.5, -0.1, 2, 0])
    assert good["m", "photos/m"]["has_expression"]
    found = sets.meshes("plain", tmp_path)
    assert [(mesh.subject, mesh.sequence, mesh.frame) for mesh in found] == [
        ("m", "meshes", "a"),
        ("unfitted", "meshes", "a"),
    ]


def test_the_folder_of_the_set_itself_and_pictures_elsewhere(tmp_path):
    made = made_up_sets.make("lyhm", tmp_path)
    whole = sets.read("lyhm", made.root)
    (tmp_path / "LYHM" / "images").rename(tmp_path / "photographs")
    with pytest.raises(ValueError, match="no folder of raw pictures"):
        sets.read("lyhm", tmp_path / "LYHM")
    inside = sets.read("lyhm", tmp_path / "LYHM", pictures=tmp_path / "photographs")
    assert [(e.subject, e.name) for e in inside.entries] == [
        (e.subject, e.name) for e in whole.entries
    ]


def test_pictures_in_other_folders_than_the_lists_are_never_of_another_person(tmp_path):
    home = tmp_path / "FRGC"
    for actor in ("a", "b", "c"):
        made_up_files.write_npz(home / "FLAME_parameters" / actor / "x.npz", betas=np.zeros(400))
    made_up_files.write(home / "images" / "Spring" / "02463d546.ppm", _GREY)
    made_up_files.write(home / "images" / "Spring" / "b" / "1.jpg", _GREY)
    made_up_files.write(home / "images" / "Fall" / "2.jpg", _GREY)
    rows = {
        "a": (["a/02463d546.npy", "a/1.npy", "a/2.npy"], "a/x.npz"),
        "b": (["b/1.npy"], "b/x.npz"),
        "c": (["c/2.npy", "c/1.npy"], "c/x.npz"),
    }
    made_up_files.write_list(tmp_path / "image_paths" / "FRGC.npy", rows)
    listing = sets.read("frgc", tmp_path)
    assert [(e.subject, e.name) for e in listing.entries] == [("a", "02463d546"), ("b", "1")]
    assert {(r.subject, r.name, r.reason) for r in listing.rejected} == {
        (actor, name, entry.NO_PICTURE)
        for actor, name in [("a", "1"), ("a", "2"), ("c", "2"), ("c", "1")]
    }


@pytest.mark.parametrize("name", ["lyhm", "famos", "coma"])
def test_a_folder_that_is_not_the_set_says_what_was_looked_for(tmp_path, name):
    with pytest.raises(ValueError, match="FLAME_parameters") as caught:
        sets.read(name, tmp_path)
    assert "\n" not in str(caught.value)
    for bad in (tmp_path / "nowhere", __file__):
        with pytest.raises(ValueError, match="is not there"):
            sets.read(name, bad)
    with pytest.raises(ValueError, match="no reader"):
        sets.read("nothing", tmp_path)
    with pytest.raises(ValueError, match="csv files"):
        sets.read("plain", tmp_path)


def test_meshes_without_fits_say_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr(made_up_files, "head", lambda *_: b"ply")
    made = made_up_sets.make("coma", tmp_path, listed=False)
    with pytest.raises(ValueError, match="fit_meshes"):
        sets.read("coma", made.root, pictures=tmp_path / "photographs")


def test_a_half_of_a_set_that_is_not_there_is_no_empty_set(tmp_path):
    made = made_up_sets.make("stirling", tmp_path)
    with pytest.raises(ValueError, match="holds no picture with 'LQ' in its path"):
        sets.read("stirling_lq", made.root)


def test_the_page_has_every_reason(root):
    page = (root / "docs" / "data.md").read_text(encoding="utf-8")
    for reason, when in sets.REASONS.items():
        assert f"| {reason} | {when} |" in page


def test_names_that_are_not_utf8_can_be_written_all_the_same(tmp_path):
    home = tmp_path / "LYHM"
    for actor in (b"a\xff", b"b"):
        folder = os.fsdecode(actor)
        made_up_files.write_npz(home / "FLAME_parameters" / folder / "x.npz", betas=np.zeros(400))
        made_up_files.write(home / "images" / folder / os.fsdecode(b"1\xfe.jpg"), _GREY)
    made_up_files.write(home / "images" / os.fsdecode(b"c\xff") / "1.jpg", _GREY)
    listing = sets.read("lyhm", tmp_path)
    assert [(e.subject, e.name) for e in listing.entries] == [
        ("a\\udcff", "1\\udcfe"),
        ("b", "1\\udcfe"),
    ]
    assert [r.subject for r in listing.rejected] == ["c\\udcff"]
    for each in (*listing.entries, *listing.rejected):
        assert "".join((each.dataset, each.subject, each.name)).encode()
    assert all(os.path.isfile(e.picture) and sets.truth(e)["shape"].size for e in listing.entries)

"""Names in lists and the files they mean."""

import os
from pathlib import Path

import pytest

from data_pipelines.sets import paths
from data_pipelines.sets.entry import AMBIGUOUS, BAD_LIST, OUTSIDE, Fault

ROOT = Path("/sets/mica")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a/1.jpg", "a/1.jpg"),
        ("a\\b\\1.jpg", "a/b/1.jpg"),
        ("./a//b/../1.jpg", "a/1.jpg"),
        ("/sets/mica/LYHM/1.jpg", "LYHM/1.jpg"),
        (" a b/é.jpg", " a b/é.jpg"),
    ],
)
def test_a_path_in_a_list_is_below_the_folder(text, parts):
    assert "/".join(paths.listed(text, ROOT)) == parts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, OUTSIDE) for text in ("../a", "a/../../b", "/etc/passwd", "/sets/mica2/a")),
        *(
            (text, OUTSIDE)
            for text in ("C:\\a.jpg", "c:a.jpg", "\\\\server\\a", "//server/a", "..")
        ),
        *((text, BAD_LIST) for text in ("", " ", "a\0b", "a" * 2000, None, 7, b"a", ["a"])),
    ],
)
def test_what_leads_outside_or_is_no_path_is_refused(text, reason):
    with pytest.raises(Fault) as caught:
        paths.listed(text, ROOT)
    assert caught.value.reason == reason and caught.value.detail.isprintable()


def test_files_are_found_in_order_and_circles_end(tmp_path):
    for name in ("b/2.JPG", "b/1.png", "a.jpg", ".hidden.jpg", ".git/x.jpg", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.symlink(tmp_path, tmp_path / "b" / "circle")
    os.symlink("nowhere.jpg", tmp_path / "dangling.jpg")
    os.symlink("self.jpg", tmp_path / "self.jpg")
    os.symlink(tmp_path / "a.jpg", tmp_path / "link.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    found = list(paths.files(tmp_path, paths.PICTURES))
    assert found == ["a.jpg", "link.jpg", "b/1.png", "b/2.JPG"]
    assert list(paths.files(tmp_path / "none", paths.PICTURES)) == []


def test_an_index_forgives_case_suffix_and_accents_but_not_doubt(tmp_path):
    for name in ("a/One.jpg", "a/two.png", "b/two.png", "b/e\u0301.jpg", "c/x.JPG", "c/X.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    index = paths.Index(tmp_path, paths.PICTURES)
    for text, found in {
        "a/one.npy": "a/One.jpg",
        "A/ONE": "a/One.jpg",
        "one": "a/One.jpg",
        "b/\u00e9.tif": "b/e\u0301.jpg",
        "c/x.bmp": "c/x.JPG",
        "c/X.png": "c/X.png",
        "d/two.png": None,
    }.items():
        assert index.find(tuple(text.split("/")), anywhere=text == "one") == found
    with pytest.raises(Fault, match=AMBIGUOUS):
        index.find(("two.png",))

"""The record tells the code, the packages and the devices of a run."""

import os
import subprocess
from pathlib import Path

import jax
import pytest

from launch import versions

UNKNOWN = {"commit": "unknown", "dirty": "unknown"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one committed file."""
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "code.py").write_text("x = 1\n")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def test_the_commit_and_whether_the_tree_is_as_it_was_committed(checkout: Path) -> None:
    clean = versions.git(checkout)
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    (checkout / "notes.txt").write_text("a file that git does not know\n")
    assert versions.git(checkout) == clean
    (checkout / "code.py").write_text("x = 2\n")
    assert versions.git(checkout) == {**clean, "dirty": True}


def test_outside_of_a_checkout_nothing_is_claimed(checkout: Path, tmp_path: Path) -> None:
    assert versions.git(tmp_path) == UNKNOWN
    inside = checkout / "unpacked"  # a copy that happens to lie in another repository
    inside.mkdir()
    assert versions.git(inside) == UNKNOWN


def test_without_git_nothing_is_claimed(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert versions.git(checkout) == UNKNOWN


def test_packages_and_devices() -> None:
    found = versions.found()
    assert found["versions"]["jax"] == jax.__version__
    assert found["device"] == "8 x cpu"
    assert set(found["git"]) == {"commit", "dirty"}

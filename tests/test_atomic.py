"""A file or a folder is the old one or the whole new one, and nothing is left beside it."""

from pathlib import Path

import numpy as np
import pytest

from ofer_jax import atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "made" / "a.npz"
    for value in (1, 2):
        with atomic.writing(path) as beside:
            assert (beside.parent, beside.suffix) == (path.parent, ".npz")
            np.savez(beside, x=value)
            assert path.exists() == (value > 1)
            assert value == 1 or np.load(path)["x"] == 1
        assert np.load(path)["x"] == value
        assert names(path.parent) == ["a.npz"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old: \N{MICRO SIGN}m\n")
    with pytest.raises(error), atomic.writing(path) as beside:
        beside.write_text("ne")
        raise error
    with pytest.raises(ZeroDivisionError), atomic.writing(path) as beside:
        print(1 / 0)  # before anything is written
    assert path.read_bytes() == "old: \N{MICRO SIGN}m\n".encode()
    assert names(tmp_path) == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    atomic.write_bytes(path, b"old")
    for sync in (True, False):
        with pytest.raises(FileNotFoundError), atomic.writing(path, sync=sync):
            pass
    assert path.read_bytes() == b"old"


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with atomic.writing(path) as one:
        one.write_bytes(b"one")
        atomic.write_bytes(path, b"two")
        assert path.read_bytes() == b"two"
    assert path.read_bytes() == b"one"
    assert names(tmp_path) == ["a.bin"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "made" / "set"
    for name in ("a", "b"):
        left = path.with_name(".set.part")  # of a writer that was killed
        left.mkdir(parents=True)
        (left / "left").touch()
        with atomic.replacing_folder(path) as work:
            (work / name).write_text(name)
            assert path.exists() == (name == "b")
        assert names(path) == [name]
        assert names(path.parent) == ["set"]


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "set"
    path.mkdir()
    (path / "a").touch()
    with pytest.raises(OSError, match="full"), atomic.replacing_folder(path) as work:
        (work / "b").touch()
        raise OSError("full")
    assert names(path) == ["a"]
    assert names(tmp_path) == ["set"]

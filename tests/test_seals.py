"""A seal finds what is missing, short or changed."""

from pathlib import Path

import pytest

from ofer_jax import seals


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.bin").write_bytes(b"0123456789")
    (tmp_path / "b.txt").write_text("b")
    seals.seal(tmp_path)
    return tmp_path


def test_a_whole_folder_has_no_damage_nor_has_one_without_a_seal(folder: Path) -> None:
    assert seals.damage(folder) is None
    seals.seal(folder)  # again: the seal is no part of what it seals
    assert seals.damage(folder) is None
    (folder / seals.NAME).unlink()
    (folder / "b.txt").unlink()
    assert seals.damage(folder) is None


def test_damage_is_told(folder: Path) -> None:
    (folder / "inner" / "a.bin").write_bytes(b"0123466789")
    assert seals.damage(folder) == "inner/a.bin has changed"
    (folder / "inner" / "a.bin").write_bytes(b"0123")
    assert seals.damage(folder) == "inner/a.bin has 4 bytes instead of 10"
    (folder / "inner" / "a.bin").unlink()
    assert seals.damage(folder) == "inner/a.bin is missing"


@pytest.mark.parametrize("text", ["", "[1]", '{"b.txt": 3}', '{"b.txt": ["x", 1]}'])
def test_a_damaged_seal_is_damage(folder: Path, text: str) -> None:
    (folder / seals.NAME).write_text(text)
    assert seals.damage(folder) == "seal.json is damaged"


def test_an_empty_folder_is_damage(tmp_path: Path) -> None:
    assert seals.damage(tmp_path) == "it is empty"

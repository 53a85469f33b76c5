"""An array in parts: whole or not there, and read as one."""

from pathlib import Path

import numpy as np
import pytest

from ofer_jax import parts

COUNT = 2 * parts.ROWS + 7


def write(folder: Path) -> tuple[np.ndarray, list[Path]]:
    whole = np.arange(COUNT * 6, dtype=np.float16).reshape(COUNT, 2, 3)
    paths = parts.files(folder, "train_clean", COUNT)
    for number, path in enumerate(paths):
        parts.save(path, whole[parts.rows_of(number, COUNT)])
    return whole, paths


def test_parts_are_read_as_one_array(tmp_path: Path) -> None:
    whole, paths = write(tmp_path / "pool")
    assert len(paths) == 3
    found = parts.open_in(tmp_path / "pool", "train_clean")
    assert (found.shape, found.dtype, len(found)) == (whole.shape, whole.dtype, COUNT)
    for rows in (np.arange(COUNT), np.array([600 % COUNT, 3, 300, 3, 511, 512]), np.arange(0)):
        np.testing.assert_array_equal(found[rows], whole[rows])
    assert sorted(path.name for path in paths[0].parent.iterdir()) == [p.name for p in paths]


def test_a_missing_or_damaged_part_is_an_error(tmp_path: Path) -> None:
    _, paths = write(tmp_path)
    paths[1].rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="holds 2 parts of train_clean, not 3"):
        parts.open_in(tmp_path, "train_clean")
    with pytest.raises(ValueError, match="holds 0 parts of other, not all"):
        parts.open_in(tmp_path, "other")
    paths[1].write_bytes(b"not an array")
    with pytest.raises(ValueError, match="cannot be read"):
        parts.open_in(tmp_path, "train_clean")
    parts.save(paths[1], np.zeros((3, 2, 3)))
    with pytest.raises(ValueError, match="parts that do not fit"):
        parts.open_in(tmp_path, "train_clean")

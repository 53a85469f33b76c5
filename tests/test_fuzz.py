"""Hostile and damaged files are read or rejected; `python -m tests.fuzz` tries thousands."""

import pickle

import pytest

from tests import fuzz, hostile


def test_every_hostile_file_and_some_damaged_ones(tmp_path):
    attacks = sum(map(len, fuzz.hostile_files().values()))
    report = fuzz.run(2 * attacks, 1, tmp_path)
    assert report.read.total() + report.rejected.total() == 2 * attacks
    assert set(report.rejected) == set(fuzz.READERS)
    assert sum(count > 0 for count in report.read.values()) >= 4


def test_the_canary_would_sing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sang = 0
    for name, data in hostile.programs():
        if "os mkdir by REDUCE" in name or name == "builtins.exec":
            pickle.loads(data)
            sang += (tmp_path / hostile.CANARY).is_dir()
            (tmp_path / hostile.CANARY).rmdir()
            with pytest.raises(fuzz.Ran), fuzz.watched():
                pickle.loads(data)
    assert sang >= 2
    with pytest.raises(fuzz.Ran), fuzz.watched():
        (tmp_path / "x").write_bytes(b"")


@pytest.mark.parametrize("kind", fuzz.READERS)
def test_sound_files_are_read(tmp_path, kind):
    fuzz.prepare(tmp_path)
    read = [fuzz.READERS[kind](data, tmp_path) for data in fuzz.sound()[kind]]
    assert all(read) or (kind == "list" and read == [True, True, False])

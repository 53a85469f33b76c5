"""Arrays by name in one file: the round trip, damaged files, killed writers."""

import numpy as np
import pytest

from data_pipelines import npz

ARRAYS = {"rows": np.arange(6.0).reshape(2, 3), "texts": np.array(["a", "bé"]), "key": np.array(7)}


def test_what_is_saved_is_loaded(tmp_path):
    npz.save(tmp_path / "new" / "a.npz", ARRAYS, sync=False)
    found = npz.load(tmp_path / "new" / "a.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_only_the_named_arrays_that_are_there_are_read(tmp_path):
    path = tmp_path / "a.npz"
    npz.save(path, ARRAYS)
    data = path.read_bytes()
    path.write_bytes(data.replace(ARRAYS["rows"].tobytes(), b"\1" * 48))
    assert list(npz.load(path, ("key", "other"))) == ["key"]
    with pytest.raises(ValueError, match="damaged"):
        npz.load(path, ("rows",))


def broken(tmp_path, how: str) -> bytes:
    whole = tmp_path / "whole.npz"
    npz.save(whole, ARRAYS)
    if how == "one array":
        np.save(tmp_path / "one.npy", ARRAYS["rows"])
        return (tmp_path / "one.npy").read_bytes()
    data = whole.read_bytes()
    return {"empty": b"", "text": b"no zip", "start": data[:100], "end": data[100:]}[how]


@pytest.mark.parametrize("how", ["empty", "text", "start", "end", "one array"])
def test_a_damaged_file_is_one_clear_error(tmp_path, how):
    path = tmp_path / "a.npz"
    path.write_bytes(broken(tmp_path, how))
    with pytest.raises(ValueError, match=r"a\.npz is damaged \(\w") as told:
        npz.load(path)
    assert "\n" not in str(told.value)


def test_objects_are_neither_written_nor_read(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(ValueError, match="Object arrays"):
        npz.save(path, {"a": np.array([{}])})
    assert not list(tmp_path.iterdir())
    np.savez(path, a=np.array([{}]))
    with pytest.raises(ValueError, match="damaged"):
        npz.load(path)


def test_a_killed_writer_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    npz.save(path, ARRAYS)

    def dies(path, **arrays):
        path.write_bytes(b"half a")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", dies)
    with pytest.raises(KeyboardInterrupt):
        npz.save(path, {"key": np.array(8)})
    assert npz.load(path)["key"] == 7 and list(tmp_path.iterdir()) == [path]

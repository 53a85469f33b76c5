"""`.npy` files of numbers, texts and objects, read without running them."""

import io
import os
import pathlib
import pickle

import numpy as np
import pytest

from ofer_jax.pickles import npy


def saved(value):
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<i8", "|u1", "|b1", "<c8", "<U3", "|S3"])
def test_arrays_are_as_numpy_reads_them(kind):
    value = np.asfortranarray(np.arange(6).reshape(2, 3).astype(kind))
    for data in (
        saved(value),
        saved(np.ascontiguousarray(value)),
        saved(value[:0]),
        saved(value[1, 1]),
    ):
        found = npy.loads_npy(data)
        wanted = np.load(io.BytesIO(data), allow_pickle=False)
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        np.testing.assert_array_equal(found, wanted)


def test_the_one_object_in_a_file_comes_out_with_its_texts_and_paths():
    stored = {
        "list": (["a/1.jpg", "é 2.jpg"], "a/x.npz"),
        "array": (np.array(["a", "bcd"]), np.str_("x")),
        "objects": (np.array(["q", pathlib.PurePosixPath("/r/s")], dtype=object), b"x"),
        "windows": pathlib.PureWindowsPath("r\\s"),
    }
    for value in (stored, np.array([stored], dtype=object)):
        found = npy.loads_npy(saved(value))
        found = found[0] if isinstance(found, list) else found
        assert found["list"] == stored["list"] and found["windows"] == "r/s"
        assert [npy.unpacked(each) for each in found["array"]] == [["a", "bcd"], "x"]
        assert [npy.unpacked(each) for each in found["objects"]] == [["q", "/r/s"], b"x"]
    for protocol in range(2, 6):
        assert npy.loads_list(pickle.dumps(stored, protocol))["list"] == stored["list"]


class Canary:
    def __reduce__(self):
        return os.mkdir, ("here",)


HEAD = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }"


def made(kind, shape, rest=b""):
    head = (HEAD % (kind, shape)).encode()
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + rest


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (saved({"a": Canary()}), "mkdir' is refused"),
        (saved(np.arange(3))[:-1], "it claims 3 x int64 and holds 23 bytes"),
        (made("<f8", "(99999999999,)"), "its shape"),
        (made("<f8", "(2, -1)"), "strange header"),
        (made("|V0", "(9,)", bytes(9)), "its type is 'V0'"),
        (made("<U0", "(9,)", bytes(9)), "its type is 'U0'"),
        (made("<f3", "(1,)", bytes(3)), "not understood"),
        (made("|O", "(3,)", pickle.dumps([1])), "3 objects announced"),
        (made("|O", "()", pickle.dumps(5)), "1 objects announced"),
        (made("<U1", "(1,)", b"\xff" * 4), "characters that there are not"),
        (saved({"a": np.array(["x"])}).replace(b"x\0\0\0", b"\xff" * 4), "characters that"),
        (made("<f8", "__import__('os').getcwd()"), "strange header"),
        (b"\x93NUMPY\x01\x00\xff\xff" + bytes(9), "a header of"),
        (b"\x93NUMPY\x07\x00" + bytes(20), "known version"),
        (b"", "known version"),
    ],
)
def test_a_damaged_or_hostile_file_is_one_line(data, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        npy.loads_npy(data)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_texts_length_and_a_paths_parts_are_bounded():
    for value in (np.str_("a" * 5000), np.array(["a" * 5000])):
        with pytest.raises(ValueError, match="dtype"):
            npy.loads_npy(saved({"a": value}))
    data = b"\x80\x04(" + b"\x8c\x01a\x94" + b"h\x00" * 400 + b"t\x940"  # a path of 401 parts
    with pytest.raises(ValueError, match="more bytes"):
        npy.loads_list(data + b"cpathlib\nPosixPath\nh\x01R" * 99 + b".")

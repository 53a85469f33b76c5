"""Pickles of arrays, tensors and containers, read without running them."""

import pickle
import struct
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest

from ofer_jax import pickles
from tests import torchfiles
from tests.flame_files import compressed
from tests.imitations import imitated, instance


def test_python_2_strings_are_read_as_latin1():
    data = np.array([1.5, -2.0]).tobytes()
    minus = b"J\xff\xff\xff\xff"
    order = b"(K\x03U\x01<NNN" + minus * 2 + b"K\x00tb"
    dtype = b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR" + order
    raw = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n"
        b"(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01K\x02\x85"
        + dtype
        + b"\x89T"
        + struct.pack("<i", len(data))
        + data
        + b"tb."
    )
    np.testing.assert_array_equal(pickles.array(pickles.loads(raw)), [1.5, -2.0])


def test_a_strange_escape_warns_no_one():
    assert pickles.loads(b"S'a\\w'\n.") == "a\\w"


def test_a_real_scipy_matrix_is_read():
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.array([[0, 2.0, 0], [1.0, 0, 3.0]])
    for kind in (sparse.csc_matrix, sparse.csr_matrix):
        out = pickles.array(pickles.loads(pickle.dumps(kind(dense), 2)))
        np.testing.assert_array_equal(out, dense)


@pytest.mark.parametrize(
    "damage",
    [
        {"indices": 5000},
        {"indptr": -1},
        {"data": None},
        {"_shape": (10**6, 10**6)},
        {"data": np.ones((3, 1)), "indices": np.zeros((3, 1), int)},  # they would make nine
    ],
)
def test_a_damaged_sparse_matrix_is_one_line(damage):
    fields = {**compressed(np.eye(3)), "_shape": (3, 3)}
    for key, value in damage.items():
        fields[key] = np.full_like(fields[key], value) if isinstance(value, int) else value
    with imitated("scipy.sparse._csc.csc_matrix") as classes:
        data = pickle.dumps(instance(classes["scipy.sparse._csc.csc_matrix"], **fields), 2)
    with pytest.raises(ValueError):
        pickles.array(pickles.loads(data))


def test_an_array_keeps_its_type_and_order():
    for dtype in ("<i8", ">f4", "?", "<u2"):
        value = np.asfortranarray(np.arange(6).reshape(2, 3).astype(dtype))
        for protocol in (0, 2, 4, 5):
            found = pickles.array(pickles.loads(pickle.dumps(value, protocol)))
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, value)


def test_plain_containers_are_read():
    stored = {
        "ordered": OrderedDict(a=1),
        "keys": {None: 1, 1.5: 2, True: 3},
        "counted": Counter({3: 2}),
        "default": defaultdict(list, a=[1]),
        "sets": [{1, "a", None}, frozenset({b"x"})],
        "bytes": b"\x00\xff",
        "numbers": (1, -(2**70), 2.5, True),
    }
    for protocol in (2, 3, 4, 5):
        assert pickles.loads(pickle.dumps(stored, protocol)) == stored


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_tensors_in_a_plain_pickle_are_read(protocol):
    whole = np.arange(24.0).reshape(4, 6)
    stored = {"turned": whole.T, "part": whole[1:3, ::2], "index": np.arange(5), "n": 3}
    found = pickles.loads(torchfiles.dumps(stored, protocol))
    for key in ("turned", "part", "index"):
        value = pickles.array(found[key])
        assert value.dtype == stored[key].dtype
        np.testing.assert_array_equal(value, stored[key])


def test_what_pytorch_pickles_is_read():
    torch = pytest.importorskip("torch")
    stored = {"a": torch.arange(6).reshape(2, 3).t(), "b": torch.rand(3, dtype=torch.float64)}
    found = pickles.loads(pickle.dumps(stored, 2))
    for key, value in stored.items():
        np.testing.assert_array_equal(pickles.array(found[key]), value.numpy())


LOAD = b"ctorch.storage\n_load_from_bytes\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def storage(data):
    return b"\x80\x03" + LOAD + b"B" + struct.pack("<I", len(data)) + data + b"\x85R."


def legacy(body):
    headers = (torchfiles.MAGIC, 1001, {"little_endian": True})
    return b"".join(pickle.dumps(value, 2) for value in headers) + body


TENSOR = REBUILD + b"(K\x01K\x00))\x89NtR."


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (storage(b""), "not a pickle of plain data"),
        (storage(pickle.dumps(5)), "magic number"),
        (storage(legacy(b"cos\nsystem\n.")), "'os.system' is refused"),
        (storage(legacy(LOAD + b".")), "'torch.storage._load_from_bytes' is refused"),
        (storage(legacy(b"].]." + bytes(8))), "a storage that is list"),
        (storage(legacy(b"]." + b"](X\x01\x00\x00\x000e.")), "not that of the tensors"),
        (b"\x80\x02" + LOAD + b"K\x05\x85R.", "a storage from int"),
        (b"\x80\x02" + TENSOR, "a tensor over int"),
        (b"\x80\x02K\x01Q.", "BINPERSID (int) is refused"),
    ],
)
def test_a_hostile_tensor_is_one_line(data, said):
    with pytest.raises(ValueError) as caught:
        pickles.loads(data)
    assert said in str(caught.value) and "\n" not in str(caught.value)

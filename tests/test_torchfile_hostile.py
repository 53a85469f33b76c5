"""PyTorch's files that mean harm, or are no longer whole: one line, little memory, nothing runs."""

import contextlib
import os
import pickle
import struct
import tracemalloc
import warnings
import zipfile
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest

from ofer_jax import torchfile
from tests import torchfiles

MARKED = "touched"
VALUES = np.arange(120, dtype=np.float32).reshape(10, 12)
FLOATS = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def persistent(key="0", count=4, kind=FLOATS, tail=b""):
    return b"(" + text("storage") + kind + text(key) + text("cpu") + number(count) + tail + b"tQ"


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(offset=0, size=(4,), stride=(1,), storage=None, tail=b""):
    storage = persistent() if storage is None else storage
    arguments = storage + number(offset) + numbers(size) + numbers(stride)
    return REBUILD + b"(" + arguments + b"\x89N" + tail + b"tR"


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


def zipped(path, pickled=None, entries=(), compression=zipfile.ZIP_STORED):
    """A zip with a pickle and one storage, or with other entries after it."""
    pickled = b"\x80\x02" + tensor() + b"." if pickled is None else pickled
    with zipfile.ZipFile(path, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two entries with one name
        for name, data in (("m/data.pkl", pickled), ("m/data/0", bytes(16)), *entries):
            archive.writestr(name, data)


def legacy(path, pickled=None, header=None, keys=("0",), count=4, data=bytes(16)):
    pickled = (
        b"\x80\x02" + tensor(storage=persistent(tail=b"N")) + b"." if pickled is None else pickled
    )
    header = [torchfiles.MAGIC, 1001, {"little_endian": True}] if header is None else header
    with open(path, "wb") as stream:
        for value in header:
            stream.write(pickle.dumps(value, 2))
        stream.write(pickled + pickle.dumps(list(keys), 2))
        stream.write(struct.pack("<q", count) + data)


def in_zip(body):
    return lambda path: zipped(path, b"\x80\x02" + body + b".")


def in_legacy(body):
    return lambda path: legacy(path, b"\x80\x02" + body + b".")


def pickled(value, write=zipped):
    return lambda path: write(path, pickle.dumps(value, 2))


def changed(change, write=zipped):
    """A sound file after `change` of its bytes."""

    def make(path):
        write(path)
        path.write_bytes(change(bytearray(path.read_bytes())))

    return make


def central(offset, value):
    """Writes a number into the table of entries, where it speaks of the storage."""

    def change(data):
        at = data.rindex(b"PK\x01\x02") + offset
        data[at : at + len(value)] = value
        return data

    return change


SYSTEM = Call(os.system, f"echo > {MARKED}")
WHOLE = "storage of 4 elements"
HOSTILE = {
    "os.system": (pickled(SYSTEM), f"'{os.system.__module__}.system' is refused"),
    "os.system, legacy": (pickled(SYSTEM, legacy), "system' is refused"),
    "eval": (pickled(Call(eval, f"open('{MARKED}', 'w')")), "'__builtin__.eval' is refused"),
    "nested reduce": (
        pickled({"net": [OrderedDict(a=Call(print, Call(os.mkdir, MARKED)))]}),
        "'__builtin__.print' is refused",
    ),
    "foreign import": (in_zip(b"cantigravity\nfly\n)R"), "'antigravity.fly' is refused"),
    "a function of torch": (in_zip(b"ctorch.hub\nload\n"), "'torch.hub.load' is refused"),
    "torch's loader": (in_zip(b"ctorch\nload\n"), "'torch.load' is refused"),
    "a module": (
        in_zip(b"ctorch.nn.modules.linear\nLinear\n)\x81}b"),
        "'torch.nn.modules.linear.Linear' is refused",
    ),
    "a storage called": (
        in_zip(FLOATS + number(10**10) + b"\x85R"),
        "a call of torch.FloatStorage",
    ),
    "a state for a storage": (in_zip(persistent() + b"}b"), "a state for Storage is refused"),
    "type rebuilt by a foreign function": (
        in_zip(b"ctorch._tensor\n_rebuild_from_type_v2\n(c_codecs\nencode\nctorch\nTensor\n)}tR"),
        "a tensor made by _codecs.encode is refused",
    ),
    "dict with attributes": (in_zip(b"}}" + text("a") + b"Nsb"), "a state for dict is refused"),
    "10 GB storage": (in_zip(tensor(storage=persistent(count=10 * 2**28))), "and holds 16"),
    "10 GB storage, legacy": (
        lambda p: legacy(p, b"\x80\x02" + persistent(count=10 * 2**28) + b".", count=10 * 2**28),
        "claims 10737418240 bytes and holds 16",
    ),
    "legacy count": (lambda p: legacy(p, count=-1), "claims 4 and holds -1"),
    "legacy count too large": (lambda p: legacy(p, count=2**60), "holds 1152921504606846976"),
    "legacy keys": (lambda p: legacy(p, keys=("0", "1")), "not that of the tensors"),
    "legacy keys twice": (lambda p: legacy(p, keys=("0", "0")), "not that of the tensors"),
    "a tensor to be conjugated": (
        in_zip(tensor(tail=b"}" + text("conj") + b"\x88s")),
        "conjugated",
    ),
    "huge stride": (in_zip(tensor(stride=(2**39,))), f"leaves its {WHOLE}"),
    "negative offset": (in_zip(tensor(offset=-1)), "not sound"),
    "negative stride": (in_zip(tensor(offset=3, stride=(-1,))), "not sound"),
    "offset outside": (in_zip(tensor(offset=1)), f"leaves its {WHOLE}"),
    "size outside": (in_zip(tensor(size=(5,))), f"leaves its {WHOLE}"),
    "huge size without stride": (in_zip(tensor((0), (2**39,), (0,))), f"over a {WHOLE}"),
    "absurd sizes": (in_zip(tensor(size=(2**39,) * 7, stride=(0,) * 7)), f"over a {WHOLE}"),
    "many axes": (in_zip(tensor(size=(1,) * 99, stride=(1,) * 99)), "not sound"),
    "storage outside": (in_zip(persistent("../../etc/passwd")), "a storage named"),
    "storage missing": (in_zip(persistent("7")), "the storage 7 is missing"),
    "storage of a class": (in_zip(persistent(kind=b"ccollections\nOrderedDict\n")), "a storage of"),
    "storage in two ways": (
        in_zip(persistent() + persistent(count=2, kind=b"ctorch\nDoubleStorage\n")),
        "announced in two ways",
    ),
    "storage of a storage": (
        in_legacy(persistent(tail=b"(" + text("1") + number(0) + number(4) + b"t")),
        "a view of another one",
    ),
    "persistent module": (
        in_legacy(b"(" + text("module") + b"NNNNtQ"),
        "a persistent id of 'module'",
    ),
    "persistent text": (in_zip(b"Pos.system\n"), "PERSID"),
    "code in the system information": (
        lambda p: legacy(p, header=[torchfiles.MAGIC, 1001, SYSTEM]),
        "system' is refused",
    ),
    "code in the list of storages": (lambda p: legacy(p, keys=(SYSTEM,)), "system' is refused"),
    "other magic number": (lambda p: legacy(p, header=[5, 1001, {}]), "magic number"),
    "big-endian": (
        lambda p: legacy(p, header=[torchfiles.MAGIC, 1001, {"little_endian": False}]),
        "little-endian",
    ),
    "big-endian, zip": (lambda p: zipped(p, entries=[("m/byteorder", "big")]), "little-endian"),
    "compressed bomb": (
        lambda p: zipped(p, entries=[("m/data/1", bytes(50_000_000))], compression=8),
        "compressed",
    ),
    "duplicate entry": (
        lambda p: zipped(p, entries=[("m/data.pkl", b"N.")]),
        "without the one entry",
    ),
    "storage twice": (lambda p: zipped(p, entries=[("m/data/0", bytes(16))]), "repeats another"),
    "two archives": (lambda p: zipped(p, entries=[("n/data.pkl", b"N.")]), "without the one entry"),
    "overlapping entries": (changed(central(42, bytes(4))), "overlaps"),
    "an entry past the end": (
        changed(central(20, struct.pack("<II", 2**31, 2**31))),
        "overlaps",
    ),
    "an entry's header elsewhere": (changed(central(42, struct.pack("<I", 2**30))), "no header"),
    "half a size": (changed(central(20, struct.pack("<II", 16, 2**31))), "overlaps"),
    "large table": (
        lambda p: zipped(p, entries=[(f"m/{i:060000}", b"") for i in range(160)]),
        "too large",
    ),
    "TorchScript": (
        lambda p: zipped(p, entries=[("m/constants.pkl", b"N.")]),
        "TorchScript archive",
    ),
    "another zip": (
        lambda p: zipfile.ZipFile(p, "w").writestr("a.txt", b"hello"),
        "without the one entry NAME/data.pkl",
    ),
    "endless name": (lambda p: p.write_bytes(b"c" + b"a" * 70_000_000), "too large"),
    "10 GB string": (lambda p: p.write_bytes(b"\x8d" + struct.pack("<Q", 10 * 2**30)), "expected"),
    "deep lists": (in_zip(b"]" * 5000 + b"a" * 4999), "nested too deeply"),
    "a set of tuples": (in_zip(b"c__builtin__\nset\n])a\x85R"), "an element of a set is tuple"),
    "an inert class": (in_zip(b"cchumpy.ch\nCh\n)\x81"), "chumpy is not plain data"),
    "a storage alone": (in_zip(persistent()), "Storage is not plain data"),
    "nothing": (lambda p: p.write_bytes(b""), ""),
    "text": (lambda p: p.write_bytes(b"hello, world\n"), ""),
    "only the beginning": (lambda p: p.write_bytes(b"PK\x03\x04"), "not a zip file"),
}


def refused(path):
    """The message about a file, and the peak of memory that it took."""
    tracemalloc.start()
    with pytest.raises(ValueError) as caught:
        torchfile.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(caught.value)
    assert "\n" not in message and str(path) in message and len(message) < 500
    return message, peak


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_file_is_one_line_and_runs_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make, said = HOSTILE[name]
    make(path := tmp_path / "model.tar")
    message, peak = refused(path)
    assert said in message
    assert peak < 500e6
    assert [p.name for p in tmp_path.iterdir()] == ["model.tar"]


def test_opcodes_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(torchfile, "_MAX_OPCODES", 1000)
    in_zip(b"]" * 2000)(path := tmp_path / "model.tar")
    assert "too many opcodes" in refused(path)[0]


def test_bfloat16_is_bounded(tmp_path, monkeypatch):
    values = np.ones(600, ml_dtypes.bfloat16)
    torchfiles.write(path := tmp_path / "model.tar", {"a": values, "b": values, "c": values[:3]})
    assert torchfile.read(path)["b"].sum() == 600  # one storage, made float32 once
    torchfiles.write(path, {"a": values, "b": values.copy()})
    monkeypatch.setattr(torchfile, "_MAX_BFLOATS", 1000)
    assert "too many elements of bfloat16" in refused(path)[0]


def test_a_list_that_holds_itself_is_read(tmp_path):
    in_zip(b"]q\x00h\x00\x85a")(path := tmp_path / "model.tar")
    found = torchfile.read(path)
    assert found[0][0] is found


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_truncated_file_is_one_line(tmp_path, legacy, share):
    torchfiles.write(
        path := tmp_path / "model.tar", {"net": {"a": VALUES, "b": VALUES.T}, "epoch": 3}, legacy
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_damaged_file_is_read_or_one_line(tmp_path, legacy):
    torchfiles.write(path := tmp_path / "model.tar", {"a": VALUES, "b": [1, "c"]}, legacy)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for at in random.integers(0, len(data), 3):
            data[at] = random.integers(256)
        path.write_bytes(data)
        with contextlib.suppress(ValueError):
            torchfile.read(path)

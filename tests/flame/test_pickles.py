"""FLAME's own files, and files that mean harm: chumpy and SciPy are imitated while pickling."""

import builtins
import importlib
import io
import os
import pickle
import struct
import sys
import tracemalloc

import numpy as np
import pytest

from ofer_jax import flame
from tests import torchfiles
from tests.flame_files import compressed
from tests.imitations import imitated, instance


def written(golden, path, protocol=2, form="csc", module="scipy.sparse.csc", core=None):
    sparse = f"{module}.{form}_matrix"
    with imitated("chumpy.ch.Ch", sparse) as classes:
        regressor = golden["J_regressor"].astype(np.float64)
        fields = compressed(regressor if form == "csr" else regressor.T)
        chumpy = {
            key: instance(
                classes["chumpy.ch.Ch"], x=golden[key].astype(np.float64), _dirty_vars={}, _status=1
            )
            for key in ("v_template", "shapedirs", "posedirs")
        }
        regressor = instance(classes[sparse], _shape=regressor.shape, maxprint=50, **fields)
        stored = {
            **chumpy,
            "J_regressor": regressor,
            "weights": np.asfortranarray(golden["lbs_weights"].astype(np.float64)),
            "kintree_table": golden["kintree_table"].astype(np.int64),
            "f": golden["faces"].astype(np.uint32),
            "bs_style": "lbs",
            "J": np.zeros((5, 3)),
            "scale": np.float64(1.0),
        }
        data = pickle.dumps(stored, protocol)
    if core:
        data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(data)
    return path


def embedding(golden, path, tensors=(), protocol=2):
    """A landmark file; the arrays of the parts `tensors` are tensors with a leading axis of one."""
    table = {
        key: torchfiles.Kept(value)
        for key, value in golden.items()
        if "lmk" in key and not key.startswith("out")
    }
    for key in (key for key in table if key.startswith(tensors)):
        table[key] = golden[key] if len(golden[key]) == 1 else golden[key][None]
    with path.open("wb") as stream:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(torchfiles.dumps(torchfiles.Kept(np.array(table, dtype=object)), protocol))
    return path


def posed(model, golden):
    keys = ("shape", "expression", "global_rotation", "neck", "jaw", "eyes")
    return flame.vertices(model, **{key: golden[f"in_{key}"] for key in keys})


@pytest.mark.parametrize(
    ("protocol", "form", "module", "core"),
    [
        (2, "csc", "scipy.sparse.csc", True),
        (2, "csc", "scipy.sparse._csc", False),
        (0, "csr", "scipy.sparse.csr", False),
        (4, "csr", "scipy.sparse._csr", False),
        (5, "csc", "scipy.sparse._csc", False),
    ],
)
def test_a_flame_file_gives_the_golden_vertices(golden, tmp_path, protocol, form, module, core):
    if protocol == 4:
        core = None
    model = flame.load(written(golden, tmp_path / "m.pkl", protocol, form, module, core))
    assert np.abs(posed(model, golden) - golden["out_vertices"]).max() < 1e-6
    assert model.parents == (-1, 0, 1, 1, 1)
    assert (model.num_shape, model.num_expression, model.name) == (300, 100, "m")


def test_without_a_landmark_file_the_landmark_calls_say_so(golden, tmp_path):
    model = flame.load(written(golden, tmp_path / "m.pkl"))
    for call in (flame.landmarks, flame.contour_landmarks):
        with pytest.raises(ValueError, match=r"without landmarks.*landmark_embedding\.npy"):
            call(model, flame.vertices(model))


@pytest.mark.parametrize(
    ("tensors", "protocol"),
    [((), 2), (("full", "dynamic"), 2), (("static", "full"), 4), (("dynamic_lmk_faces",), 3)],
)
def test_a_landmark_file_gives_the_golden_landmarks(golden, tmp_path, tensors, protocol):
    file = embedding(golden, tmp_path / "landmark_embedding.npy", tensors, protocol)
    model = flame.load(written(golden, tmp_path / "m.pkl"), landmarks=file)
    vertices = posed(model, golden)
    full = flame.landmarks(model, vertices)
    contour = flame.contour_landmarks(
        model, vertices, golden["in_global_rotation"], golden["in_neck"]
    )
    assert np.abs(full - golden["out_landmarks_full"]).max() < 1e-6
    assert np.abs(contour - golden["out_landmarks_contour"]).max() < 1e-6


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments, state=None):
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.made


def encoded(value, protocol=2):
    return pickle.dumps(value, protocol)


RECONSTRUCT = np.zeros(1).__reduce__()[0]
DTYPE = b"cnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R"
CH = b"cchumpy.ch\nCh\n"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
LATIN = b"c_codecs\nencode\n"
MARKED = "touched"


def claimed(shape):
    body = b"".join(b"\x8a\x08" + struct.pack("<q", n) for n in shape)
    return EMPTY + b"(K\x01(" + body + b"t" + DTYPE + b"\x89C\x08" + bytes(8) + b"tb."


HOSTILE = {
    "os.system": encoded(Call(os.system, f"echo > {MARKED}")),
    "os.system, protocol 0": encoded(Call(os.system, f"echo > {MARKED}"), 0),
    "os.system, protocol 4": encoded(Call(os.system, f"echo > {MARKED}"), 4),
    "eval": encoded(Call(eval, f"open('{MARKED}', 'w')")),
    "exec": encoded(Call(exec, f"open('{MARKED}', 'w')")),
    "open": encoded(Call(open, MARKED, "w")),
    "getattr": encoded(Call(getattr, "text", "format")),
    "__import__": encoded(Call(builtins.__import__, "antigravity")),
    "importlib": encoded(Call(importlib.import_module, "antigravity")),
    "nested": encoded({"x": [Call(RECONSTRUCT, Call(os.system, f"echo > {MARKED}"), (0,), b"b")]}),
    "in a state": encoded(Call(np.ndarray, (1,), state={"x": Call(os.mkdir, MARKED)})),
    "submodule": b"cos\npath.join\n.",
    "dotted name": b"\x80\x04\x8c\x09chumpy.ch\x8c\x0bCh.__init__\x93.",
    "numpy.load": b"cnumpy\nload\nX\x01\x00\x00\x00x\x85R.",
    "numpy.memmap": EMPTY.replace(b"ndarray", b"memmap") + b".",
    "ndarray called": b"cnumpy\nndarray\n\x8a\x08" + struct.pack("<q", 10**10) + b"\x85R.",
    "chumpy called": CH + b"X\x01\x00\x00\x00x\x85R.",
    "chumpy with arguments": CH + b"X\x01\x00\x00\x00x\x85\x81.",
    "other chumpy": b"cchumpy.utils\nrow\n.",
    "INST": b"(S'echo'\nios\nsystem\n.",
    "OBJ": b"(" + CH + b"S'echo'\no.",
    "PERSID": b"Pos.system\n.",
    "EXT1": b"\x82\x01.",
    "NEWOBJ_EX": b"\x80\x04" + CH + b")}\x92.",
    "BUILD of a class": CH + b"}X\x08\x00\x00\x00__init__NsbN.",
    "BUILD of a function": b"c_codecs\nencode\nN}X\x0c\x00\x00\x00__defaults__Ns\x86b.",
    "BUILD of a dict": b"}}X\x01\x00\x00\x00aNsb.",
    "codec": LATIN + b"X\x01\x00\x00\x00xX\x05\x00\x00\x00rot13\x86R.",
    "codec zlib": LATIN + b"X\x01\x00\x00\x00xX\x04\x00\x00\x00zlib\x86R.",
    "string made many times": LATIN
    + b"X\x00\x10\x00\x00"
    + b"a" * 4096
    + b"X\x06\x00\x00\x00latin1\x86q\x00R"
    + (LATIN + b"h\x00R") * 1000
    + b".",
    "dtype of text": b"cnumpy\ndtype\nX\x0c\x00\x00\x00f8,(1000,)f8\x89\x88\x87R.",
    "object array": EMPTY + b"(K\x01K\x01\x85" + DTYPE.replace(b"f8", b"O8") + b"\x89]tb.",
    "10 GB array": claimed([10 * 2**30 // 8]),
    "huge shape": claimed([2**39] * 7),
    "negative shape": claimed([-1]),
    "10 GB string": b"\x80\x04\x8e" + struct.pack("<Q", 10 * 2**30) + b"abc.",
    "10 GB bytearray": b"\x80\x05\x96" + struct.pack("<Q", 10 * 2**30) + b"abc.",
    "far memo": b"Nr\xff\xff\xff\xff0j\xfe\xff\xff\xff.",
    "a million lists": b"]" * 1_100_000 + b".",
    "unhashable key": b"}]Ns.",
    "tuple bomb as key": b"}" + b")" + b"\x85" * 100_000 + b"Ns.",
    "long number": b"I" + b"9" * 10_000 + b"\n.",
    "empty stack": b"0.",
    "no mark": b"t.",
    "nothing": b"",
    "no end": b"}",
    "text": b"hello, world\n",
    "not a table": b"].",
}


def refused(path):
    with pytest.raises(ValueError) as caught:
        flame.load(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message and len(message) < 600
    return message


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_pickle_is_one_line_and_runs_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pkl"
    path.write_bytes(HOSTILE[name])
    modules = set(sys.modules)
    tracemalloc.start()
    refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500e6
    assert [p.name for p in tmp_path.iterdir()] == ["model.pkl"]
    assert not {"antigravity", "chumpy"} & (set(sys.modules) - modules)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("os.system", f"'{os.system.__module__}.system' is refused"),
        ("eval", "'__builtin__.eval' is refused"),
        ("numpy.load", "'numpy.load' is refused"),
        ("other chumpy", "'chumpy.utils.row' is refused"),
        ("dotted name", "'chumpy.ch.Ch.__init__' is refused"),
        ("INST", "INST ('os system') is refused"),
        ("codec zlib", "'zlib' is refused"),
        ("10 GB array", "claims 10737418240 bytes and holds 8"),
        ("a million lists", "too many opcodes"),
    ],
)
def test_what_is_refused_is_named(tmp_path, name, said):
    (path := tmp_path / "model.pkl").write_bytes(HOSTILE[name])
    assert said in refused(path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("v_template", np.float64(1.0), "v_template is a single number"),
        ("kintree_table", np.zeros((0, 5), np.int64), "kintree_table has shape (0, 5)"),
        ("shapedirs", np.zeros((4, 3, 300)), "shapedirs has shape (4, 3, 300)"),
        ("weights", "text", "weights: str is not an array"),
        ("f", np.array([{}], dtype=object), "f: array is not an array of numbers"),
        ("posedirs", np.zeros((4, 3, 9)), "posedirs has shape (4, 3, 9)"),
    ],
)
def test_a_wrong_array_is_named(golden, tmp_path, key, value, said):
    v = {"v_template": np.zeros((4, 3)), "shapedirs": np.zeros((4, 3, 400))}
    v |= {"posedirs": np.zeros((4, 3, 36)), "J_regressor": np.zeros((5, 4))}
    v |= {"weights": np.zeros((4, 5)), "kintree_table": golden["kintree_table"]}
    (path := tmp_path / "m.pkl").write_bytes(pickle.dumps({**v, "f": np.eye(3, dtype=int)}, 2))
    assert flame.load(path).num_expression == 100
    path.write_bytes(pickle.dumps({**v, "f": np.eye(3, dtype=int), key: value}, 2))
    assert said in refused(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_model_is_one_line(golden, tmp_path, share):
    path = written(golden, tmp_path / "m.pkl")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path)


def test_a_hostile_landmark_file_is_one_line(golden, tmp_path):
    model = written(golden, tmp_path / "m.pkl")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    for body in (HOSTILE["os.system"], b"", b"]."):
        (path := tmp_path / "marks.npy").write_bytes(header.getvalue() + body)
        with pytest.raises(ValueError, match="not FLAME's landmark file") as caught:
            flame.load(model, landmarks=path)
        assert "\n" not in str(caught.value)

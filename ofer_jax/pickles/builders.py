"""The objects of an allow-list: Python's builtins, NumPy's, chumpy's and SciPy's.

`ALLOWED` maps a global's name to its kind, and `CALLS` a kind to code of ours that makes the object
from the arguments in the file; every array is checked against the bytes that it came with.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from ofer_jax.pickles.machine import Machine
from ofer_jax.pickles.values import Global, Record, instance, named, title

_PYTHON = ("__builtin__", "builtins")
_BUILTINS = {
    **{name: name for name in ("bytes", "object", "set")},
    "frozenset": "set",
    **dict.fromkeys(("dict", "float", "int", "list"), "factory"),  # of a defaultdict
}
ALLOWED = {
    **{f"{module} {name}": kind for module in _PYTHON for name, kind in _BUILTINS.items()},
    **{f"{module} _reconstructor": "reconstructor" for module in ("copy_reg", "copyreg")},
    "_codecs encode": "encode",
    "collections OrderedDict": "dict",
    "collections defaultdict": "defaultdict",
    "collections Counter": "counter",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    **{
        f"numpy.{core}.{name}": kind
        for core in ("core", "_core")
        for name, kind in (
            ("multiarray _reconstruct", "reconstruct"),
            ("multiarray scalar", "scalar"),
            ("numeric _frombuffer", "frombuffer"),
        )
    },
    "chumpy Ch": "chumpy",
    "chumpy.ch Ch": "chumpy",
    **{
        f"scipy.sparse.{private}{kind} {kind}_{form}": kind
        for kind in ("csc", "csr")
        for private in ("", "_")
        for form in ("matrix", "array")
    },
}
_NUMBERS = {f"{c}{n}" for c, sizes in (("f", "248"), ("iu", "1248")) for c in c for n in sizes}


def _reconstructor(machine: Machine, kind: Any, base: Any, state: Any) -> Any:
    if not isinstance(base, Global) or base.kind != "object" or state is not None:
        raise ValueError(f"copyreg._reconstructor over {title(base)} is refused")
    return instance(kind)


def _encode(machine: Machine, text: Any, codec: Any) -> bytes:
    if type(text) is not str or type(codec) is not str or codec not in ("latin1", "latin-1"):
        raise ValueError(f"_codecs.encode of {title(text)} to {named(codec)} is refused")
    return machine.encoded(text)


def _ordered_dict(machine: Machine) -> OrderedDict[Any, Any]:
    return OrderedDict()


def _default_dict(machine: Machine, factory: Any = None) -> dict[Any, Any]:
    if factory is not None and not isinstance(factory, Global):  # never called, only a name
        raise ValueError(f"collections.defaultdict of {title(factory)} is refused")
    return {}


def _counter(machine: Machine, counts: Any = None) -> dict[Any, Any]:
    if counts is not None and type(counts) is not dict:
        raise ValueError(f"collections.Counter of {title(counts)} is refused")
    return counts or {}


def _set(machine: Machine, items: Any) -> set[Any]:
    if type(items) is not list:
        raise ValueError(f"a set of {title(items)} is refused")
    return machine.set_of(items)


def _reconstruct(machine: Machine, kind: Any, shape: Any, code: Any) -> Record:
    if not isinstance(kind, Global) or kind.kind != "ndarray":
        raise ValueError(f"numpy's _reconstruct of {title(kind)} is refused")
    return Record("array")


def _dtype(machine: Machine, code: Any, align: Any = False, copy: Any = True) -> Record:
    if type(code) is not str or code not in (*_NUMBERS, "b1", "O8", "O"):
        raise ValueError(f"numpy.dtype of {named(code)} is refused")
    return Record("dtype", np.dtype(code[:1] if code[0] == "O" else code))


def _ordered(machine: Machine, record: Record, state: Any) -> np.dtype:
    if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
        raise ValueError("a numpy.dtype with a strange state is refused")
    return record.state if state[1] == "|" else record.state.newbyteorder(state[1])


def _scalar(machine: Machine, dtype: Any, data: Any) -> Record:
    return Record("scalar", _values(machine, (), dtype, data, "C"))


def _from_buffer(machine: Machine, data: Any, dtype: Any, shape: Any, order: Any) -> Record:
    return Record("array", _values(machine, shape, dtype, data, order))


def _array_state(machine: Machine, record: Record, state: Any) -> Any:
    if type(state) is not tuple or len(state) != 5:
        raise ValueError("a numpy.ndarray with a strange state is refused")
    _, shape, dtype, fortran, data = state
    return _values(machine, shape, dtype, data, "F" if fortran is True or fortran == 1 else "C")


def _values(machine: Machine, shape: Any, dtype: Any, data: Any, order: Any) -> Any:
    """An array over the file's bytes; a list for one of objects."""
    if not isinstance(dtype, Record) or dtype.kind != "dtype" or order not in ("C", "F"):
        raise ValueError("an array without a numpy.dtype is refused")
    if type(shape) is not tuple or len(shape) > 8:
        raise ValueError("an array's shape is not a short tuple")
    if any(type(n) is not int or not 0 <= n < 1 << 40 for n in shape):
        raise ValueError("an array's shape is not of sizes")
    count = math.prod(shape)
    if dtype.state.hasobject:
        if type(data) is not list or len(data) != count:
            raise ValueError(f"an array claims {count} objects that it does not hold")
        return data
    data = machine.encoded(data) if type(data) is str else data
    claimed = count * dtype.state.itemsize
    if type(data) not in (bytes, bytearray) or len(data) != claimed:
        held = len(data) if type(data) in (bytes, bytearray) else "no"
        raise ValueError(f"an array claims {claimed} bytes and holds {held}")
    return np.ndarray(shape, dtype.state, buffer=data, order=order)


CALLS: dict[str, Callable[..., Any]] = {
    "bytes": lambda machine: b"",
    "counter": _counter,
    "defaultdict": _default_dict,
    "dict": _ordered_dict,
    "dtype": _dtype,
    "dtype state": _ordered,
    "array state": _array_state,
    "encode": _encode,
    "frombuffer": _from_buffer,
    "reconstruct": _reconstruct,
    "reconstructor": _reconstructor,
    "scalar": _scalar,
    "set": _set,
}

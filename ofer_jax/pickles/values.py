"""What the machine makes of a file's objects, and the arrays that they stand for."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

_INERT = ("chumpy", "csc", "csr")
_LEAVES = (str, bytes, bytearray, bool, int, float, type(None))
_MAX_DEPTH = 100
_MAX_DENSE = 1 << 24  # elements of a sparse matrix made dense


@dataclass(frozen=True, slots=True)
class Global:
    """A name from the allow-list; never the thing it names."""

    title: str
    kind: str


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """An object of the file: what kind it is, and the state that the file gave it."""

    kind: str
    state: Any = None


def array(value: Any) -> np.ndarray:
    """The NumPy array that a value of the file stands for; sparse matrices become dense."""
    for _ in range(4):  # a chumpy array may hold another one
        if not (isinstance(value, Record) and value.kind == "chumpy"):
            break
        fields = _fields(value)
        value = fields.get("x", fields.get("_data"))
    if isinstance(value, Record) and isinstance(value.state, np.ndarray):
        return value.state
    if isinstance(value, Record) and value.kind in ("csc", "csr"):
        return _dense(value.kind, _fields(value))
    if isinstance(value, int | float):
        return np.asarray(value)
    raise ValueError(f"{title(value)} is not an array of numbers")


def plain(value: Any, depth: int = 0, known: dict[int, Any] | None = None) -> Any:
    """The value with NumPy's arrays, scalars and types in place of every `Record` in it.

    Raises a ValueError if it holds any other record, or containers that are nested too deeply.
    """
    known = {} if known is None else known
    if type(value) in _LEAVES or id(value) in known:
        return known.get(id(value), value)
    if depth > _MAX_DEPTH:
        raise ValueError("its containers are nested too deeply")
    if isinstance(value, tuple):
        known[id(value)] = tuple(plain(item, depth + 1, known) for item in value)
    elif isinstance(value, list | dict):
        known[id(value)] = value
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            value[key] = plain(item, depth + 1, known)
    else:
        known[id(value)] = _leaf(value)
    return known[id(value)]


def _leaf(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return value
    if isinstance(value, Global):
        return value.title
    if not isinstance(value, Record) or value.kind not in ("array", "scalar", "dtype"):
        raise ValueError(f"{title(value)} is not plain data")
    if value.kind == "array" and not isinstance(value.state, np.ndarray):
        raise ValueError("an array of objects is not plain data")
    return value.state[()] if value.kind == "scalar" else value.state


def short(error: BaseException) -> str:
    """An error's message as one line of at most 200 characters."""
    return " ".join(str(error)[:200].split()) or type(error).__name__


def title(value: Any) -> str:
    if isinstance(value, Global):
        return value.title
    return value.kind if isinstance(value, Record) else type(value).__name__


def named(value: Any) -> str:
    return repr(value[:40]) if type(value) is str else title(value)


def instance(kind: Any) -> Any:
    if isinstance(kind, Global) and kind.kind in _INERT:
        return Record(kind.kind)
    if isinstance(kind, Global) and kind.kind == "dict":
        return OrderedDict()
    raise ValueError(f"an instance of {title(kind)} is refused")


def _fields(record: Record) -> dict[str, Any]:
    if not isinstance(record.state, dict):
        raise ValueError(f"a {record.kind} record without fields")
    return record.state


def _dense(kind: str, fields: dict[str, Any]) -> np.ndarray:
    missing = {"data", "indices", "indptr"} - fields.keys()
    shape = fields.get("_shape", fields.get("shape"))
    if missing or type(shape) is not tuple or len(shape) != 2:
        raise ValueError(f"a {kind} matrix without {sorted(missing) or 'a shape'}")
    if any(type(n) is not int or n < 0 for n in shape) or math.prod(shape) > _MAX_DENSE:
        raise ValueError(f"a {kind} matrix of more than {_MAX_DENSE} elements")
    major, minor = shape if kind == "csr" else shape[::-1]
    data, inner, starts = (array(fields[key]) for key in ("data", "indices", "indptr"))
    each = data.shape == inner.shape == (inner.size,)
    if {inner.dtype.kind, starts.dtype.kind} - set("iu") or not each:
        raise ValueError(f"a {kind} matrix whose indices are not sound")
    starts, inner = starts.astype(np.int64), inner.astype(np.int64)
    sound = starts.shape == (major + 1,) and starts[0] == 0 and starts[-1] == inner.size
    if not sound or (np.diff(starts) < 0).any() or ((inner < 0) | (inner >= minor)).any():
        raise ValueError(f"a {kind} matrix whose indices are not sound")
    out = np.zeros((major, minor), data.dtype)
    np.add.at(out, (np.repeat(np.arange(major), np.diff(starts)), inner), data)
    return out if kind == "csr" else out.T

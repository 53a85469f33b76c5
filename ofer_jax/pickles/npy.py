"""Reads `.npy` files: of numbers and texts as arrays, of objects without ever calling them.

The header is matched against the one form that NumPy writes, and evaluated by nobody.
NumPy's format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ofer_jax.pickles import builders
from ofer_jax.pickles.machine import ERRORS, Budget, Machine
from ofer_jax.pickles.values import Record, named, short

MAGIC = b"\x93NUMPY"
_MAX_BYTES = 128 << 20
_OPCODES = 4_000_000  # a list of a million pictures' names
_MAX_TEXT = 4096  # characters of one text
_HEADER = re.compile(
    r"\{'descr': '([<>|=]?)([a-zA-Z]\d*)', 'fortran_order': (True|False), "
    r"'shape': \(([\dL, ]*)\), \}\s*"
)
_KINDS = "biufcSU"


def loads_npy(data: bytes) -> Any:
    """What a `.npy` file holds.

    Returns:
      An array of numbers or texts, over the file's bytes; of objects, a (nested) list of them, or
      the one object itself where the shape is (). In it, paths are texts, arrays of texts are
      lists, and the rest is as `loads` gives it.

    Raises:
      ValueError: one line, if it is not a sound file, or asks for anything but data.
    """
    try:
        shape, dtype, order, start = _header(data)
        count = math.prod(shape)
        if dtype is not None:
            if len(data) - start != count * dtype.itemsize:
                raise ValueError(f"it claims {count} x {dtype} and holds {len(data) - start} bytes")
            return _checked(np.ndarray(shape, dtype, data, start, order=order))
        stored = loads_list(data[start:])
    except (*ERRORS, MemoryError, RecursionError) as error:
        raise ValueError(f"not a sound .npy file: {short(error)}") from None
    if type(stored) is not list or len(stored) != count:
        raise ValueError(f"not a sound .npy file: it does not hold the {count} objects announced")
    return stored if shape else stored[0]


def loads_list(data: bytes) -> Any:
    """As `loads`, of a list of files: paths are texts, arrays of texts are lists."""
    if len(data) > _MAX_BYTES:
        raise ValueError(f"a pickle of {len(data)} bytes; at most {_MAX_BYTES} are read")
    try:
        machine = Machine(_ALLOWED, _CALLS, Budget(len(data), _OPCODES))
        return unpacked(machine.run(data))
    except ERRORS as error:
        raise ValueError(f"not a pickle of plain data: {short(error)}") from None


def unpacked(value: Any) -> Any:
    """A record of texts or of objects as the list it stands for; anything else as it is."""
    if not isinstance(value, Record):
        return value
    if isinstance(value.state, np.ndarray) and value.state.dtype.kind in "US":
        return _texts(value.state).tolist()
    return value.state if isinstance(value.state, list) else value


def _header(data: bytes) -> tuple[tuple[int, ...], np.dtype | None, Any, int]:
    """Shape, type (None of objects), order, and where the values begin."""
    width = {1: 2, 2: 4, 3: 4}.get(data[6]) if data[:6] == MAGIC and len(data) > 12 else None
    if width is None or data[7] != 0:
        raise ValueError("no header of a known version")
    start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
    if start > min(len(data), 10_000):
        raise ValueError(f"a header of {start} bytes")
    found = _HEADER.fullmatch(data[8 + width : start].decode("latin1"))
    if found is None:
        raise ValueError("a strange header")
    ends, code, fortran, sizes = found.groups()
    shape = tuple(int(n.strip().removesuffix("L")) for n in sizes.split(",") if n.strip())
    if len(shape) > 8 or math.prod(shape) > len(data):  # at least a byte an element
        raise ValueError(f"its shape is {str(shape)[:80]}")
    if code == "O":
        return shape, None, "C", start
    if code[0] not in _KINDS or code[1:] in ("", "0"):
        raise ValueError(f"its type is {code[:20]!r}")
    return shape, np.dtype(ends + code), "F" if fortran == "True" else "C", start


def _checked(array: np.ndarray) -> np.ndarray:
    """The array, if its texts are of characters that there are: NumPy fails on others later."""
    if array.dtype.kind == "U" and array.size:
        codes = np.frombuffer(array.tobytes(), array.dtype.str[0] + "u4")
        if codes.max() > sys.maxunicode:
            raise ValueError("a text of characters that there are not")
    return array


def _texts(array: np.ndarray) -> np.ndarray:
    return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array


def _dtype(machine: Machine, code: Any, align: Any = False, copy: Any = True) -> Record:
    if type(code) is str and re.fullmatch(r"[SU]\d{1,5}", code) and 0 < int(code[1:]) <= _MAX_TEXT:
        return Record("dtype", np.dtype(code))
    return builders.CALLS["dtype"](machine, code, align, copy)


def _path(machine: Machine, *parts: Any) -> str:
    if not all(type(part) is str for part in parts):
        raise ValueError(f"a path of {', '.join(map(named, parts))[:80]} is refused")
    text = "/".join(part.rstrip("/") if part != "/" else "" for part in parts)
    machine.budget.spend(len(text))
    return text


def _array_state(machine: Machine, record: Record, state: Any) -> Any:
    out = builders.CALLS["array state"](machine, record, state)
    return _checked(out) if isinstance(out, np.ndarray) else out


def _from_buffer(machine: Machine, *arguments: Any) -> Record:
    out = builders.CALLS["frombuffer"](machine, *arguments)
    return Record("array", _checked(out.state)) if isinstance(out.state, np.ndarray) else out


def _scalar(machine: Machine, dtype: Any, data: Any) -> Any:
    out = builders.CALLS["scalar"](machine, dtype, data)
    if out.state.dtype.kind not in "US":
        return out
    text = str(_texts(_checked(out.state))[()])
    machine.budget.spend(len(text))
    return text


_ALLOWED = {
    **builders.ALLOWED,
    **{
        f"{module} {name}": "path"
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    },
}
_CALLS: dict[str, Callable[..., Any]] = {
    **builders.CALLS,
    "array state": _array_state,
    "dtype": _dtype,
    "frombuffer": _from_buffer,
    "path": _path,
    "scalar": _scalar,
}

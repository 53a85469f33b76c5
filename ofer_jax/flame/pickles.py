"""Reads a pickle without ever calling what it names.

A pickle is a program for a small stack machine. The machine here is our own: it knows the opcodes
that data needs, and a global is only a name, looked up on an allow-list. So nothing is imported
and nothing that the file chooses is called; arrays, chumpy's `Ch` and SciPy's sparse matrices come
out as inert `Record`s, which `array` turns into NumPy arrays. Memory is bounded by the file's size:
the opcodes are counted, and no array may be larger than the bytes it came with.

Opcodes as documented in Python's `pickletools`, which also splits the file into them.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_MAX_BYTES = 128 << 20  # FLAME's largest file has 54 MB
_MAX_OPCODES = 1_000_000  # FLAME's have a few hundred; bounds what a file of empty lists may take
_MAX_DENSE = 1 << 24  # elements of a sparse matrix made dense

_ALLOWED = {
    **{f"{module} bytes": "bytes" for module in ("__builtin__", "builtins")},
    **{f"{module} object": "object" for module in ("__builtin__", "builtins")},
    **{f"{module} _reconstructor": "reconstructor" for module in ("copy_reg", "copyreg")},
    "_codecs encode": "encode",
    "collections OrderedDict": "dict",
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
_INERT = ("chumpy", "csc", "csr")
_NUMBERS = {f"{c}{n}" for c, sizes in (("f", "248"), ("iu", "1248")) for c in c for n in sizes}


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


def loads(data: bytes) -> Any:
    """The object in a pickle (protocols 0 to 5), of builtin types and `Record`s.

    Raises a ValueError of one line, naming it, if the file asks for anything but data.
    """
    if len(data) > _MAX_BYTES:
        raise ValueError(f"a pickle of {len(data)} bytes; at most {_MAX_BYTES} are read")
    machine = _Machine(len(data))
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count >= _MAX_OPCODES:
                raise ValueError(f"more than {_MAX_OPCODES} opcodes")
            machine.step(opcode.name, argument)
        return machine.stack.pop()
    except (ValueError, TypeError, LookupError, OverflowError, ArithmeticError) as error:
        raise ValueError(f"not a pickle of plain data: {short(error)}") from None


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
    raise ValueError(f"{_title(value)} is not an array of numbers")


def short(error: BaseException) -> str:
    """An error's message as one line of at most 200 characters."""
    return " ".join(str(error)[:200].split()) or type(error).__name__


class _Machine:
    """The stack, the memo and the marks; one method for each group of opcodes."""

    def __init__(self, size: int) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.budget = size  # bytes that strings may still be turned into

    def step(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            detail = f" ({str(argument)[:80]!r})" if argument is not None else ""
            raise ValueError(f"the opcode {name}{detail} is refused")

    def marked(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def taken(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise ValueError("the stack is empty")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def encoded(self, text: str) -> bytes:
        self.budget -= len(text)
        if self.budget < 0:
            raise ValueError("its strings make more bytes than the file has")
        return text.encode("latin1")

    def put(self, argument: int | None) -> None:
        self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]

    def get(self, argument: int) -> None:
        if argument not in self.memo:
            raise ValueError(f"no object {argument} to repeat")
        self.stack.append(self.memo[argument])

    def append(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError(f"{_title(self.stack[-1])} is given items as if it were a list")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise ValueError(f"{_title(self.stack[-1])} is given keys as if it were a dict")
        _fill(self.stack[-1], items)

    def global_(self, title: str) -> None:
        if title not in _ALLOWED:
            raise ValueError(f"{title[:80].replace(' ', '.')!r} is refused")
        self.stack.append(Global(title.replace(" ", "."), _ALLOWED[title]))

    def stack_global(self, _: object) -> None:
        module, name = self.taken(2)
        if type(module) is not str or type(name) is not str:
            raise ValueError("a global's name is not text")
        self.global_(f"{module[:80]} {name[:80]}")

    def reduce(self, _: object) -> None:
        function, arguments = self.taken(2)
        if not isinstance(function, Global) or type(arguments) is not tuple:
            raise ValueError(f"a call of {_title(function)} is refused")
        if function.kind not in _CALLS:
            raise ValueError(f"a call of {function.title} is refused")
        try:
            self.stack.append(_CALLS[function.kind](self, *arguments))
        except TypeError:
            raise ValueError(f"{function.title} with {len(arguments)} arguments") from None

    def new(self, _: object) -> None:
        kind, arguments = self.taken(2)
        if arguments != ():
            raise ValueError(f"{_title(kind)} with arguments is refused")
        self.stack.append(_instance(kind))

    def build(self, _: object) -> None:
        target, state = self.taken(2)
        if not isinstance(target, Record):
            raise ValueError(f"a state for {_title(target)} is refused")
        if target.kind == "dtype":
            target.state = _ordered(target.state, state)
        elif target.kind == "array":
            target.state = _array_state(self, state)
        else:
            target.state = state
        self.stack.append(target)


def _title(value: Any) -> str:
    if isinstance(value, Global):
        return value.title
    return value.kind if isinstance(value, Record) else type(value).__name__


def _named(value: Any) -> str:
    return repr(value[:40]) if type(value) is str else _title(value)


def _fill(target: dict[str | int, Any], items: list[Any]) -> dict[str | int, Any]:
    keys, values = items[::2], items[1::2]
    for key, value in zip(keys, values, strict=True):
        if type(key) not in (str, int):
            raise ValueError(f"a key is {_title(key)}, not text")
        target[key] = value
    return target


def _instance(kind: Any) -> Any:
    if isinstance(kind, Global) and kind.kind in _INERT:
        return Record(kind.kind)
    if isinstance(kind, Global) and kind.kind == "dict":
        return {}
    raise ValueError(f"an instance of {_title(kind)} is refused")


def _reconstructor(machine: _Machine, kind: Any, base: Any, state: Any) -> Any:
    if not isinstance(base, Global) or base.kind != "object" or state is not None:
        raise ValueError(f"copyreg._reconstructor over {_title(base)} is refused")
    return _instance(kind)


def _encode(machine: _Machine, text: Any, codec: Any) -> bytes:
    if type(text) is not str or type(codec) is not str or codec not in ("latin1", "latin-1"):
        raise ValueError(f"_codecs.encode of {_title(text)} to {_named(codec)} is refused")
    return machine.encoded(text)


def _ordered_dict(machine: _Machine) -> dict[str | int, Any]:
    return {}


def _reconstruct(machine: _Machine, kind: Any, shape: Any, code: Any) -> Record:
    if not isinstance(kind, Global) or kind.kind != "ndarray":
        raise ValueError(f"numpy's _reconstruct of {_title(kind)} is refused")
    return Record("array")


def _dtype(machine: _Machine, code: Any, align: Any = False, copy: Any = True) -> Record:
    if type(code) is not str or code not in (*_NUMBERS, "b1", "O8", "O"):
        raise ValueError(f"numpy.dtype of {_named(code)} is refused")
    return Record("dtype", np.dtype(code[:1] if code[0] == "O" else code))


def _ordered(dtype: np.dtype, state: Any) -> np.dtype:
    if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
        raise ValueError("a numpy.dtype with a strange state is refused")
    return dtype if state[1] == "|" else dtype.newbyteorder(state[1])


def _scalar(machine: _Machine, dtype: Any, data: Any) -> Record:
    return Record("array", _values(machine, (), dtype, data, "C"))


def _from_buffer(machine: _Machine, data: Any, dtype: Any, shape: Any, order: Any) -> Record:
    return Record("array", _values(machine, shape, dtype, data, order))


def _array_state(machine: _Machine, state: Any) -> Any:
    if type(state) is not tuple or len(state) != 5:
        raise ValueError("a numpy.ndarray with a strange state is refused")
    _, shape, dtype, fortran, data = state
    return _values(machine, shape, dtype, data, "F" if fortran is True or fortran == 1 else "C")


def _values(machine: _Machine, shape: Any, dtype: Any, data: Any, order: Any) -> Any:
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


def _fields(record: Record) -> dict[str, Any]:
    if type(record.state) is not dict:
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
    if {inner.dtype.kind, starts.dtype.kind} - set("iu") or data.shape != inner.shape:
        raise ValueError(f"a {kind} matrix whose indices are not sound")
    starts, inner = starts.astype(np.int64), inner.astype(np.int64)
    sound = starts.shape == (major + 1,) and starts[0] == 0 and starts[-1] == inner.size
    if not sound or (np.diff(starts) < 0).any() or ((inner < 0) | (inner >= minor)).any():
        raise ValueError(f"a {kind} matrix whose indices are not sound")
    out = np.zeros((major, minor), data.dtype)
    np.add.at(out, (np.repeat(np.arange(major), np.diff(starts)), inner), data)
    return out if kind == "csr" else out.T


_CALLS: dict[str, Callable[..., Any]] = {
    "bytes": lambda machine: b"",
    "dict": _ordered_dict,
    "dtype": _dtype,
    "encode": _encode,
    "frombuffer": _from_buffer,
    "reconstruct": _reconstruct,
    "reconstructor": _reconstructor,
    "scalar": _scalar,
}
_PUSHED = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda m, _: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "POP": lambda m, _: m.taken(1),
    "POP_MARK": lambda m, _: m.marked(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.marked())),
    "TUPLE1": lambda m, _: m.stack.append(tuple(m.taken(1))),
    "TUPLE2": lambda m, _: m.stack.append(tuple(m.taken(2))),
    "TUPLE3": lambda m, _: m.stack.append(tuple(m.taken(3))),
    "LIST": lambda m, _: m.stack.append(m.marked()),
    "DICT": lambda m, _: m.stack.append(_fill({}, m.marked())),
    "APPEND": lambda m, _: m.append(m.taken(1)),
    "APPENDS": lambda m, _: m.append(m.marked()),
    "SETITEM": lambda m, _: m.set_items(m.taken(2)),
    "SETITEMS": lambda m, _: m.set_items(m.marked()),
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.new,
    "BUILD": _Machine.build,
}

"""A stack machine for pickles that never calls what they name.

A pickle is a program for a small stack machine. The machine here is our own: it knows the opcodes
that data needs, and a global is only a name, looked up on an allow-list. So nothing is imported
and nothing that the file chooses is called. Memory is bounded by the file's size: the opcodes are
counted, and no array may be larger than the bytes it came with.

Opcodes as documented in Python's `pickletools`, which also splits the file into them.
"""

from __future__ import annotations

import pickletools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from ofer_jax.pickles.values import Global, Record, instance, title

ERRORS = (ValueError, TypeError, LookupError, ArithmeticError)  # what a bad file makes it raise
_DICTS = (dict, OrderedDict)
_KEYS = (str, int, float, bool, type(None))  # a tuple's hash may go deep
_ELEMENTS = (*_KEYS, bytes)


@dataclass(slots=True)
class Budget:
    """What a file may still take, all pickles in it together."""

    made: int  # bytes of strings and elements of sets made from others; at first the file's size
    opcodes: int = 1_000_000  # FLAME's have a few hundred; bounds what a file of empty lists takes
    bfloats: int = 1 << 20  # elements of bfloat16 made float32

    def spend(self, count: int) -> None:
        self.made -= count
        if self.made < 0:
            raise ValueError("its strings make more bytes than the file has")


def refused(identity: Any) -> Any:
    """A persistent id where there should be none."""
    raise ValueError(f"the opcode BINPERSID ({title(identity)}) is refused")


class Machine:
    """The stack, the memo and the marks; one method for each group of opcodes.

    `allowed` maps the names that the file may use to their kinds, and `calls` a kind to what is
    called in the name's place; `persistent` makes the object that a persistent id stands for.
    """

    def __init__(
        self,
        allowed: Mapping[str, str],
        calls: Mapping[str, Callable[..., Any]],
        budget: Budget,
        persistent: Callable[[Any], Any] = refused,
    ) -> None:
        self.allowed = allowed
        self.calls = calls
        self.budget = budget
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes | IO[bytes]) -> Any:
        """The object that the pickle leaves on the stack; a stream is read up to its end."""
        with warnings.catch_warnings():  # of strange escapes in a text
            warnings.simplefilter("ignore", DeprecationWarning)
            for opcode, argument, _ in pickletools.genops(data):
                self.budget.opcodes -= 1
                if self.budget.opcodes < 0:
                    raise ValueError("too many opcodes")
                self.step(opcode.name, argument)
        return self.stack.pop()

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
        self.budget.spend(len(text))
        return text.encode("latin1")

    def set_of(self, items: list[Any]) -> set[Any]:
        self.budget.spend(len(items))
        return set(plain_elements(items))

    def put(self, argument: int | None) -> None:
        self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]

    def get(self, argument: int) -> None:
        if argument not in self.memo:
            raise ValueError(f"no object {argument} to repeat")
        self.stack.append(self.memo[argument])

    def append(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError(f"{title(self.stack[-1])} is given items as if it were a list")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        if type(self.stack[-1]) not in _DICTS:
            raise ValueError(f"{title(self.stack[-1])} is given keys as if it were a dict")
        _fill(self.stack[-1], items)

    def add(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not set:
            raise ValueError(f"{title(self.stack[-1])} is given elements as if it were a set")
        self.stack[-1].update(plain_elements(items))

    def global_(self, title: str) -> None:
        if title not in self.allowed:
            raise ValueError(f"{title[:80].replace(' ', '.')!r} is refused")
        self.stack.append(Global(title.replace(" ", "."), self.allowed[title]))

    def stack_global(self, _: object) -> None:
        module, name = self.taken(2)
        if type(module) is not str or type(name) is not str:
            raise ValueError("a global's name is not text")
        self.global_(f"{module[:80]} {name[:80]}")

    def reduce(self, _: object) -> None:
        function, arguments = self.taken(2)
        if not isinstance(function, Global) or type(arguments) is not tuple:
            raise ValueError(f"a call of {title(function)} is refused")
        if function.kind not in self.calls:
            raise ValueError(f"a call of {function.title} is refused")
        try:
            self.stack.append(self.calls[function.kind](self, *arguments))
        except TypeError:
            raise ValueError(f"{function.title} with {len(arguments)} arguments") from None

    def new(self, _: object) -> None:
        kind, arguments = self.taken(2)
        if arguments != ():
            raise ValueError(f"{title(kind)} with arguments is refused")
        self.stack.append(instance(kind))

    def build(self, _: object) -> None:
        target, state = self.taken(2)
        if isinstance(target, Record):
            make = self.calls.get(f"{target.kind} state")
            target.state = make(self, target, state) if make else state
        elif type(target) is not OrderedDict or type(state) not in _DICTS:  # a state dict's has one
            raise ValueError(f"a state for {title(target)} is refused")
        self.stack.append(target)


def plain_elements(items: list[Any]) -> list[Any]:
    """The elements of a set, checked."""
    for item in items:
        if type(item) not in _ELEMENTS:
            raise ValueError(f"an element of a set is {title(item)}")
    return items


def _fill(target: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
    keys, values = items[::2], items[1::2]
    for key, value in zip(keys, values, strict=True):
        if type(key) not in _KEYS:
            raise ValueError(f"a key is {title(key)}, not text or a number")
        target[key] = value
    return target


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
    "EMPTY_SET": set,
}
_STEPS: dict[str, Callable[[Machine, Any], Any]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda m, _: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine.get),
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
    "ADDITEMS": lambda m, _: m.add(m.marked()),
    "FROZENSET": lambda m, _: m.stack.append(frozenset(plain_elements(m.marked()))),
    "BINPERSID": lambda m, _: m.stack.append(m.persistent(*m.taken(1))),
    "GLOBAL": Machine.global_,
    "STACK_GLOBAL": Machine.stack_global,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.new,
    "BUILD": Machine.build,
}

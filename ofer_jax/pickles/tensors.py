"""PyTorch's tensors in a pickle, and its older file format, without PyTorch.

A tensor is a view (offset, size, stride) of a storage. In a file a storage is a persistent id, and
its bytes lie elsewhere in the file; in a plain pickle it is a whole file of the older format, as
bytes: magic number, protocol, system information, object and storage keys as five pickles, then a
64-bit count and the elements of each storage (torch/serialization.py, `_legacy_save`). Every view
is checked against its storage, and every storage against the bytes that the file has. bfloat16,
which NumPy lacks, becomes float32.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from ofer_jax.pickles import builders
from ofer_jax.pickles.machine import Budget, Machine
from ofer_jax.pickles.values import Global, Record, named, title

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MAX_SIZE = 1 << 40
_MAX_REPEATED = 1 << 20  # elements of a tensor that repeats its storage's (an expanded one)
_STORAGES = {
    "Bool": "bool",
    "Byte": "uint8",
    "Char": "int8",
    "Short": "int16",
    "Int": "int32",
    "Long": "int64",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Float": "float32",
    "Double": "float64",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
_TYPES = {*_STORAGES.values(), "uint16", "uint32", "uint64"}
_STORAGE_NAMES = {
    **{f"torch {name}Storage": f"storage {dtype}" for name, dtype in _STORAGES.items()},
    **{f"torch{m} UntypedStorage": "storage uint8" for m in ("", ".storage")},
}
ALLOWED = {
    **builders.ALLOWED,
    **_STORAGE_NAMES,
    **{f"torch {name}": "torch dtype" for name in sorted(_TYPES)},
    "torch Size": "size",
    "torch device": "device",
    "torch Tensor": "tensor",
    "torch.nn.parameter Parameter": "tensor",
    "torch.storage _load_from_bytes": "storage from bytes",
    "torch._tensor _rebuild_from_type_v2": "rebuild from type",
    "torch._utils _rebuild_tensor": "rebuild",
    "torch._utils _rebuild_tensor_v2": "rebuild",
    "torch._utils _rebuild_tensor_v3": "rebuild of a type",
    "torch._utils _rebuild_parameter": "rebuild parameter",
    "torch._utils _rebuild_parameter_with_state": "rebuild parameter",
}


@dataclass(slots=True, eq=False, repr=False)
class Storage:
    """The elements that tensors are views of; the views wait until `fill` brings the bytes."""

    dtype: str
    count: int
    raw: np.ndarray | None = None
    views: list[tuple[Record, str, int, tuple[int, ...], tuple[int, ...]]] = field(
        default_factory=list
    )

    @property
    def nbytes(self) -> int:
        return self.count * _itemsize(self.dtype)

    def fill(self, raw: np.ndarray, budget: Budget) -> None:
        """Takes its bytes [N] uint8, kept as they are, never copied (but for bfloat16)."""
        if len(raw) != self.nbytes:
            raise ValueError(f"a storage claims {self.nbytes} bytes and holds {len(raw)}")
        self.raw = _widened(raw, budget) if self.dtype == "bfloat16" else raw
        for view in self.views:
            self._settle(*view)
        self.views.clear()

    def same(self, other: Storage) -> Storage:
        """Itself, if another mention of it says the same. Raises ValueError otherwise."""
        if (self.dtype, self.count) != (other.dtype, other.count):
            raise ValueError("a storage is announced in two ways")
        return self

    def tensor(self, offset: Any, size: Any, stride: Any, dtype: str | None = None) -> Record:
        """A view; offset and stride count elements. Raises ValueError if it leaves the storage."""
        dtype = dtype or self.dtype
        _check_view(self.nbytes // _itemsize(dtype), offset, size, stride)
        record = Record("array")
        if self.raw is None:
            self.views.append((record, dtype, offset, size, stride))
        else:
            self._settle(record, dtype, offset, size, stride)
        return record

    def _settle(self, record: Record, dtype: str, offset: int, size: Any, stride: Any) -> None:
        kind = np.dtype("float32" if dtype == "bfloat16" else dtype)
        if math.prod(size) == 0:
            record.state = np.zeros(size, kind)
            return
        steps = tuple(n * kind.itemsize for n in stride)
        record.state = np.ndarray(size, kind, self.raw, offset * kind.itemsize, steps)


def _itemsize(dtype: str) -> int:
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _widened(raw: np.ndarray, budget: Budget) -> np.ndarray:
    """bfloat16's bytes as float32's: a bfloat16 is the upper half of one."""
    budget.bfloats -= len(raw) // 2
    if budget.bfloats < 0:
        raise ValueError("too many elements of bfloat16")
    wide = raw.view(np.uint16).astype(np.uint32)
    wide <<= 16
    out = wide.view(np.uint8)
    out.flags.writeable = False
    return out


def _check_view(count: int, offset: Any, size: Any, stride: Any) -> None:
    sound = type(size) is type(stride) is tuple and len(size) == len(stride) <= 32
    if not sound or any(
        type(n) is not int or not 0 <= n < _MAX_SIZE for n in (offset, *size, *stride)
    ):
        raise ValueError("a tensor whose offset, size or stride is not sound")
    held = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if held and last >= count:
        raise ValueError(f"a tensor of size {size} leaves its storage of {count} elements")
    if held > max(count, _MAX_REPEATED):
        raise ValueError(f"a tensor of size {size} over a storage of {count} elements")


def storage_of(identity: Any) -> tuple[str, Storage]:
    """The key and the empty storage that a persistent id announces."""
    if type(identity) is not tuple or len(identity) not in (5, 6):
        raise ValueError(f"a persistent id of {title(identity)} is refused")
    what, kind, key, _, count = identity[:5]
    if type(what) is not str or what != "storage":
        raise ValueError(f"a persistent id of {named(what)} is refused")
    if not isinstance(kind, Global) or not kind.kind.startswith("storage "):
        raise ValueError(f"a storage of {title(kind)} is refused")
    if type(key) is not str or not key.isalnum() or len(key) > 40:
        raise ValueError(f"a storage named {named(key)} is refused")
    if type(count) is not int or not 0 <= count < _MAX_SIZE:
        raise ValueError(f"the storage {key} has no sound count")
    if len(identity) == 6 and identity[5] is not None:
        raise ValueError(f"the storage {key} is a view of another one, which is not read")
    return key, Storage(kind.kind.split()[1], count)


def legacy(stream: IO[bytes], raw: np.ndarray, budget: Budget, nested: bool = False) -> Any:
    """The object in a file of the older format: `stream` over it, and `raw`, its bytes as uint8.

    With `nested` it may hold nothing but a storage. Raises a ValueError if it is no such file.
    """
    _check_header(stream, budget)
    storages: dict[str, Storage] = {}

    def persistent(identity: Any) -> Storage:
        key, storage = storage_of(identity)
        return storages.setdefault(key, storage).same(storage)

    allowed, calls = (_STORAGE_NAMES, {}) if nested else (ALLOWED, CALLS)
    stored = Machine(allowed, calls, budget, persistent).run(stream)
    keys = Machine({}, {}, budget).run(stream)
    if type(keys) is not list or any(type(key) is not str for key in keys):
        raise ValueError("no list of storages")
    if sorted(keys) != sorted(storages):
        raise ValueError("the list of storages is not that of the tensors")
    at = stream.tell()
    for key in keys:
        stream.seek(at)
        count = int.from_bytes(stream.read(8), "little", signed=True)
        if count != storages[key].count:
            raise ValueError(f"the storage {key} claims {storages[key].count} and holds {count}")
        start, at = at + 8, at + 8 + storages[key].nbytes
        storages[key].fill(raw[start:at], budget)
    return stored


def _check_header(stream: IO[bytes], budget: Budget) -> None:
    for wanted in (_MAGIC, _PROTOCOL):
        if Machine({}, {}, budget).run(stream) != wanted:
            raise ValueError("not PyTorch's magic number and protocol")
    system = Machine({}, {}, budget).run(stream)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise ValueError("not written on a little-endian machine")


def _rebuild(  # the rest is torch's: gradient, hooks, metadata
    machine: Machine, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any
) -> Record:
    _check_metadata(rest[2:])
    if not isinstance(storage, Storage):
        raise ValueError(f"a tensor over {title(storage)} is refused")
    return storage.tensor(offset, _size(machine, size), _size(machine, stride))


def _rebuild_of_type(  # the rest is torch's: gradient, hooks, dtype, metadata
    machine: Machine, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any
) -> Record:
    _check_metadata(rest[3:])
    dtype = rest[2] if len(rest) > 2 else None
    known = isinstance(dtype, Global) and dtype.kind == "torch dtype"
    if not isinstance(storage, Storage) or storage.dtype != "uint8" or not known:
        raise ValueError(f"a tensor of {title(dtype)} over {title(storage)} is refused")
    name = title(dtype).removeprefix("torch.")
    return storage.tensor(offset, _size(machine, size), _size(machine, stride), name)


def _check_metadata(metadata: tuple[Any, ...]) -> None:
    if any(metadata):
        raise ValueError("a tensor that waits to be conjugated or negated is refused")


def _rebuild_from_type(
    machine: Machine, function: Any, kind: Any, arguments: Any, state: Any
) -> Record:
    """A tensor that carries attributes, which are left out."""
    if not isinstance(function, Global) or not function.kind.startswith("rebuild"):
        raise ValueError(f"a tensor made by {title(function)} is refused")
    if not isinstance(kind, Global) or kind.kind != "tensor" or type(arguments) is not tuple:
        raise ValueError(f"a tensor as {title(kind)} is refused")
    return CALLS[function.kind](machine, *arguments)


def _rebuild_parameter(machine: Machine, data: Any, *_: Any) -> Record:
    if not isinstance(data, Record) or data.kind != "array":
        raise ValueError(f"a parameter of {title(data)} is refused")
    return data


def _size(machine: Machine, sizes: Any) -> tuple[int, ...]:
    if type(sizes) is not tuple or any(type(n) is not int for n in sizes):
        raise ValueError(f"a size of {title(sizes)} is refused")
    return sizes


def _device(machine: Machine, kind: Any, index: Any = None) -> str:
    if type(kind) is not str or type(index) not in (int, type(None)):
        raise ValueError(f"a device of {title(kind)} is refused")
    return kind if index is None else f"{kind}:{index}"


def _storage_from_bytes(machine: Machine, data: Any) -> Storage:
    if type(data) is not bytes:
        raise ValueError(f"a storage from {title(data)} is refused")
    raw = np.frombuffer(data, np.uint8)
    storage = legacy(io.BytesIO(data), raw, machine.budget, nested=True)
    if not isinstance(storage, Storage):
        raise ValueError(f"a storage that is {title(storage)} is refused")
    return storage


CALLS: dict[str, Callable[..., Any]] = {
    **builders.CALLS,
    "device": _device,
    "rebuild": _rebuild,
    "rebuild from type": _rebuild_from_type,
    "rebuild of a type": _rebuild_of_type,
    "rebuild parameter": _rebuild_parameter,
    "size": _size,
    "storage from bytes": _storage_from_bytes,
}

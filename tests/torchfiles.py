"""Writes files as `torch.save` does, without PyTorch: NumPy arrays become tensors.

    write(path, {"net": {"weight": np.ones((2, 3), np.float32)}, "epoch": 3})
    write(path, {"net": {"weight": Lazy((9000, 9000), "float32", make)}}, legacy=True)

Storages are written one at a time, and a `Lazy` one is made when its turn comes, so that a file may
be larger than the memory.
"""

import io
import math
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.imitations import imitated

_STORAGES = {
    "bool": "Bool",
    "uint8": "Byte",
    "int8": "Char",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "float32": "Float",
    "float64": "Double",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}
_CLASSES = (
    *(f"torch.{name}Storage" for name in _STORAGES.values()),
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.storage._load_from_bytes",
    "torch.Size",
    "torch.device",
)
MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_SYSTEM = {
    "protocol_version": _PROTOCOL,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}


class Lazy(NamedTuple):
    """A tensor whose values `make` gives when they are written."""

    shape: tuple[int, ...]
    dtype: str
    make: Callable[[], np.ndarray]


class Parameter(NamedTuple):
    """A tensor that is written as a `torch.nn.Parameter`."""

    value: np.ndarray


class Kept(NamedTuple):
    """An array that stays NumPy's."""

    value: np.ndarray


class Called(NamedTuple):
    """What a call makes: `Called("torch.Size", ((3,),))`; `name` is one of `_CLASSES`."""

    name: str
    arguments: tuple[Any, ...]


class Storage(NamedTuple):
    """The elements of one storage; `key` names it in the file."""

    key: str
    dtype: str
    count: int
    make: Callable[[], np.ndarray]

    def write(self, stream: Any) -> None:
        values = np.ascontiguousarray(self.make(), self.dtype)
        assert values.size == self.count
        stream.write(values.reshape(-1).view(np.uint8).data)


def write(path: str | os.PathLike[str], obj: Any, legacy: bool = False, protocol: int = 2) -> None:
    """Writes `obj` to `path` as `torch.save` does: a zip, or the format before PyTorch 1.6."""
    if legacy:
        with open(path, "wb") as stream:
            _write_legacy(stream, obj, protocol)
    else:
        _write_zip(path, obj, protocol)


def dumps(obj: Any, protocol: int = 2) -> bytes:
    """What `pickle.dumps` makes of tensors: each storage is a file of the older format."""
    return _pickled(obj, protocol, nested=True)[0]


def _write_zip(path: Any, obj: Any, protocol: int) -> None:
    data, storages = _pickled(obj, protocol)
    name = os.path.splitext(os.path.basename(path))[0]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{name}/data.pkl", data)
        archive.writestr(f"{name}/byteorder", "little")
        for storage in storages:
            with archive.open(f"{name}/data/{storage.key}", "w", force_zip64=True) as stream:
                storage.write(stream)
        archive.writestr(f"{name}/version", "3\n")


def _write_legacy(stream: Any, obj: Any, protocol: int) -> None:
    data, storages = _pickled(obj, protocol, views=(None,))
    storages = [obj] if isinstance(obj, Storage) else storages
    for header in (MAGIC, _PROTOCOL, _SYSTEM):
        pickle.dump(header, stream, protocol)
    stream.write(data)
    pickle.dump([storage.key for storage in storages], stream, protocol)
    for storage in storages:
        stream.write(struct.pack("<q", storage.count))
        storage.write(stream)


def _pickled(
    obj: Any, protocol: int, nested: bool = False, views: tuple[None, ...] = ()
) -> tuple[bytes, list[Storage]]:
    with imitated(*_CLASSES) as classes:
        pickler = _Pickler(protocol, classes, nested, views)
        pickler.dump(obj)
    return pickler.stream.getvalue(), list(pickler.storages.values())


class _Pickler(pickle.Pickler):
    """Pickles arrays as calls of torch's functions over storages, which are persistent ids."""

    def __init__(
        self, protocol: int, classes: dict[str, type], nested: bool, views: tuple[None, ...]
    ) -> None:
        self.stream = io.BytesIO()
        super().__init__(self.stream, protocol)
        self.protocol, self.classes, self.nested, self.views = protocol, classes, nested, views
        self.storages: dict[int, Storage] = {}
        self.alive: list[Any] = []  # what `storages` is keyed by

    def persistent_id(self, obj: Any) -> Any:
        if self.nested or not isinstance(obj, Storage):
            return None
        kind = self.classes[f"torch.{_STORAGES[obj.dtype]}Storage"]
        return ("storage", kind, obj.key, "cpu", obj.count, *self.views)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.ndarray | Lazy):
            return self.classes["torch._utils._rebuild_tensor_v2"], self.tensor(obj)
        if isinstance(obj, Parameter):
            make = self.classes["torch._utils._rebuild_parameter"]
            return make, (obj.value, True, OrderedDict())
        if isinstance(obj, Kept):
            return obj.value.__reduce__()
        if isinstance(obj, Called):
            return self.classes[obj.name], obj.arguments
        if isinstance(obj, Storage):
            stream = io.BytesIO()
            _write_legacy(stream, obj, self.protocol)
            return self.classes["torch.storage._load_from_bytes"], (stream.getvalue(),)
        return NotImplemented

    def tensor(self, value: np.ndarray | Lazy) -> tuple[Any, ...]:
        """The arguments of `_rebuild_tensor_v2`; views of one array share its storage."""
        if isinstance(value, Lazy):
            root, offset, make = value, 0, value.make
            stride = tuple(math.prod(value.shape[i + 1 :]) for i in range(len(value.shape)))
        else:
            root = _root(value)
            offset = (_address(value) - _address(root)) // value.itemsize
            stride = tuple(n // value.itemsize for n in value.strides)
            make = lambda: root  # noqa: E731
        if id(root) not in self.storages:
            key, count = str(len(self.storages)), math.prod(root.shape)
            self.storages[id(root)] = Storage(key, str(root.dtype), count, make)
            self.alive.append(root)
        return self.storages[id(root)], offset, value.shape, stride, False, OrderedDict()


def _root(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray) and array.base.dtype == array.dtype:
        array = array.base
    return array


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]

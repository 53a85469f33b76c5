"""Reads what `torch.save` wrote (`.tar`, `.pth`, `.pt`) without PyTorch, and runs nothing of it.

Since 1.6 such a file is a zip whose entries are stored as they are: NAME/data.pkl, a pickle in
which a storage is a persistent id, and NAME/data/KEY, the storage's bytes. Before, it was the older
format that `pickles.tensors` describes. Either way the tensors are views of the mapped file: they
take no memory until they are used. Only data is read; a class or a function in the pickle is
refused by name.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ofer_jax import pickles
from ofer_jax.pickles import tensors
from ofer_jax.pickles.machine import Budget, Machine

_MAX_PICKLE = 64 << 20  # bytes; 20,000 tensors make 2 MB
_MAX_TABLE = 8 << 20  # bytes of a zip's table and headers; 20,000 entries make 2 MB
_MAX_OPCODES = 2_000_000  # 20,000 tensors make 600,000
_MAX_BFLOATS = 1 << 27  # elements of bfloat16, made float32: 512 MB
_MAGIC = b"PK\x03\x04"
_HEADER = 30  # bytes of an entry's own header in a zip, before its name
_SCRIPT = "it is a TorchScript archive; save its state_dict() with torch.save and take that file"


class _Entry(NamedTuple):
    start: int
    stop: int


def read(path: str | os.PathLike[str]) -> Any:
    """The object that was saved: dicts, lists, tuples, sets, numbers and text as they were.

    A tensor or a Parameter is a read-only NumPy array over the mapped file (bfloat16 a float32
    one), a torch.Size a tuple, a dtype or a device its name.

        state = torchfile.read("backbone.pth")
        state["conv1.weight"].shape  # (64, 3, 3, 3)

    Raises FileNotFoundError if there is no such file, and a ValueError of one line, naming what is
    wrong, if it is not of this kind or asks for anything but data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file of weights at {path}")
    try:
        raw = np.asarray(np.memmap(path, np.uint8, "r"))
        zipped = raw[:4].tobytes() == _MAGIC
        return pickles.plain(_zipped(path, raw) if zipped else _older(path, raw))
    except (*pickles.ERRORS, OSError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        problem = f"{path} holds no PyTorch weights (tensors, numbers, text): "
        raise ValueError(problem + pickles.short(error)) from None


class _Limited(io.BufferedReader):
    """A file of which at most `limit` bytes are read, whatever the file itself asks for."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(io.FileIO(path))
        self._left = limit

    def read(self, size: int | None = -1, /) -> bytes:
        return self._counted(super().read(self._at_most(size)))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._counted(super().readline(self._at_most(size)))

    def _at_most(self, size: int | None) -> int:
        return self._left + 1 if size is None or size < 0 else min(size, self._left + 1)

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("its pickles or its table of entries are too large")
        return data


def _budget(size: int) -> Budget:
    return Budget(size, _MAX_OPCODES, _MAX_BFLOATS)


def _older(path: Path, raw: np.ndarray) -> Any:
    with _Limited(path, _MAX_PICKLE) as stream:
        return tensors.legacy(stream, raw, _budget(_MAX_PICKLE))


def _zipped(path: Path, raw: np.ndarray) -> Any:
    with _Limited(path, _MAX_TABLE) as stream, zipfile.ZipFile(stream) as archive:
        name = _archive_name(archive.namelist())
        entries = _entries(archive, stream)
    if _bytes(raw, entries.get(f"{name}/byteorder"), 16) not in (b"", b"little"):
        raise ValueError("not written on a little-endian machine")
    data = _bytes(raw, entries[f"{name}/data.pkl"], _MAX_PICKLE)
    budget = _budget(len(data))
    storages: dict[str, tensors.Storage] = {}

    def persistent(identity: Any) -> tensors.Storage:
        key, storage = tensors.storage_of(identity)
        if key not in storages:
            if f"{name}/data/{key}" not in entries:
                raise ValueError(f"the storage {key} is missing")
            start, stop = entries[f"{name}/data/{key}"]
            storage.fill(raw[start:stop], budget)
            storages[key] = storage
        return storages[key].same(storage)

    return Machine(tensors.ALLOWED, tensors.CALLS, budget, persistent).run(data)


def _archive_name(names: list[str]) -> str:
    found = [name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")]
    if len(found) != 1 or "/" in found[0]:
        raise ValueError("a zip without the one entry NAME/data.pkl")
    if f"{found[0]}/constants.pkl" in names:
        raise ValueError(_SCRIPT)
    return found[0]


def _bytes(raw: np.ndarray, entry: _Entry | None, limit: int) -> bytes:
    start, stop = entry or (0, 0)
    if stop - start > limit:
        raise ValueError(f"an entry of {stop - start} bytes where {limit} are the most")
    return raw[start:stop].tobytes()


def _entries(archive: zipfile.ZipFile, stream: IO[bytes]) -> dict[str, _Entry]:
    """Where each entry's bytes lie. Raises ValueError unless all are stored, apart and inside."""
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    limits = [*(info.header_offset for info in infos[1:]), archive.start_dir]
    out: dict[str, _Entry] = {}
    for info, limit in zip(infos, limits, strict=True):
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise ValueError(f"the entry {info.filename[:80]!r} is compressed or encrypted")
        start = _data_start(stream, info)
        stop = start + info.file_size
        if info.file_size != info.compress_size or stop > limit or info.filename in out:
            raise ValueError(f"the entry {info.filename[:80]!r} overlaps or repeats another one")
        out[info.filename] = _Entry(start, stop)
    return out


def _data_start(stream: IO[bytes], info: zipfile.ZipInfo) -> int:
    stream.seek(max(0, info.header_offset))
    header = stream.read(_HEADER)
    if info.header_offset < 0 or len(header) < _HEADER or header[:4] != _MAGIC:
        raise ValueError(f"the entry {info.filename[:80]!r} has no header")
    lengths = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))  # name, extra
    return info.header_offset + _HEADER + sum(lengths)

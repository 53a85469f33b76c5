"""Writes a safetensors file one array at a time, so that nothing is held twice.

The format: the header's length as 8 bytes, little-endian; the header, JSON of each array's dtype,
shape and range of bytes; the arrays' bytes, row-major. https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_NAMES = {"float32": "F32", "float16": "F16"}


def write(path: Path, arrays: Mapping[str, np.ndarray], dtype: str) -> str:
    """Writes all `arrays` as `dtype` ('float32' or 'float16'); the file's SHA-256 (hex).

    Raises ValueError for a finite number that is too large for float16.
    """
    stored = np.dtype(dtype).newbyteorder("<")
    header, end = {}, 0
    for name, array in arrays.items():
        span = [end, end := end + array.size * stored.itemsize]
        header[name] = {"dtype": _NAMES[dtype], "shape": array.shape, "data_offsets": span}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for part in (len(text).to_bytes(8, "little"), text):
            file.write(part)
            digest.update(part)
        for name, array in arrays.items():
            part = _cast(name, array, stored)
            file.write(part)
            digest.update(part)
    return digest.hexdigest()


def _cast(name: str, array: np.ndarray, dtype: np.dtype) -> bytes | memoryview:
    with np.errstate(over="ignore"):
        out = np.asarray(array, dtype, order="C")
    if dtype.itemsize < 4 and not np.array_equal(np.isfinite(out), np.isfinite(array)):
        raise ValueError(f"{name} does not fit into float16; store the bundle as float32")
    return out.reshape(-1).view(np.uint8).data if out.size else b""

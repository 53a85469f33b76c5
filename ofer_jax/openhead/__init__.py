"""The embedded open assets, data only: head, surface, weights, default bundle. See NOTICE."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_HERE = Path(__file__).parent


def head_path() -> Path:
    """The open head in the format of `ofer_jax.flame.load`."""
    return _HERE / "head.npz"


@cache
def head_sha256() -> str:
    """Of the open head's file, which its model is known by."""
    return hashlib.sha256(head_path().read_bytes()).hexdigest()


def bundle_path() -> Path:
    """The default inference bundle, a directory."""
    return _HERE / "bundle"


@cache
def surface() -> dict[str, np.ndarray]:
    """What is known of the head's surface: UV, materials, regions, FaceMesh correspondence."""
    return _load("surface.npz")


@cache
def weights(name: str) -> dict[str, np.ndarray]:
    """Arrays of one network: "blazeface", "facemesh", "dlib" or "projection"."""
    return _load(name if name.endswith(".npz") else f"{name}.npz")


def digest(arrays: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of named arrays, numbers or strings: of their content, not of a file."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        value = arrays[name]
        array = np.frombuffer(value.encode(), np.uint8) if isinstance(value, str) else value
        array = np.ascontiguousarray(array)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _load(name: str) -> dict[str, np.ndarray]:
    path = _HERE / name
    if not path.is_file():
        raise ValueError(f"{name} is not among the embedded assets ({_HERE.name}); build it first")
    with np.load(path, allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}

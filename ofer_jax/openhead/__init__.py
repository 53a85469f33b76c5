"""The embedded open assets, data only: head, surface, weights, default bundle. See NOTICE."""

from functools import cache
from pathlib import Path

import numpy as np

_HERE = Path(__file__).parent


def head_path() -> Path:
    """The open head in the format of `ofer_jax.flame.load`."""
    return _HERE / "head.npz"


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


def _load(name: str) -> dict[str, np.ndarray]:
    path = _HERE / name
    if not path.is_file():
        raise ValueError(f"{name} is not among the embedded assets ({_HERE.name}); build it first")
    with np.load(path, allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}

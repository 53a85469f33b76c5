"""FLAME's own files as arrays in our layout: the model's `.pkl` and `landmark_embedding.npy`.

The model's bases come joined (300 shape columns, then expression), its root's parent is -1 written
as an unsigned number, and its arrays may be chumpy's or SciPy's: `pickles` reads those without
either package, and runs nothing.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ofer_jax import pickles

_SHAPES = 300
_MODEL = {
    "v_template": "v_template",
    "shapedirs": "shapedirs",
    "posedirs": "posedirs",
    "J_regressor": "J_regressor",
    "lbs_weights": "weights",
    "faces": "f",
    "parents": "kintree_table",
}
_LANDMARKS = {
    "lmk_faces_idx": "static_lmk_faces_idx",
    "lmk_bary_coords": "static_lmk_bary_coords",
    **{
        key: key
        for part in ("full", "dynamic")
        for key in (f"{part}_lmk_faces_idx", f"{part}_lmk_bary_coords")
    },
}


def model_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a FLAME `.pkl`. Raises a ValueError of one line."""
    arrays = _chosen(pickles.loads(data), _MODEL)
    bases = arrays.pop("shapedirs")
    if bases.ndim != 3 or bases.shape[-1] <= _SHAPES:
        raise ValueError(f"shapedirs has shape {bases.shape}, expected (V, 3, {_SHAPES} + E)")
    tree = arrays.pop("parents")
    if tree.ndim != 2 or len(tree) != 2 or tree.dtype.kind not in "iu":
        raise ValueError(f"kintree_table has shape {tree.shape} and type {tree.dtype}")
    parents = tree[0].astype(np.int64)
    arrays["parents"] = np.where(parents == 2**32 - 1, -1, parents)
    return {**arrays, "shapedirs": bases[..., :_SHAPES], "exprdirs": bases[..., _SHAPES:]}


def landmark_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of FLAME's `landmark_embedding.npy`. Raises a ValueError of one line."""
    arrays = _chosen(_embedded(data), _LANDMARKS)
    for key, value in arrays.items():
        axes = 1 + key.startswith("dynamic") + key.endswith("coords")
        if value.ndim == axes + 1 and len(value) == 1:
            arrays[key] = value[0]
    return arrays


def _embedded(data: bytes) -> Any:
    """The one object in a `.npy` file of objects."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"a .npy file of version {version}")
    first = version == (1, 0)
    header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    if not dtype.hasobject or shape != ():
        raise ValueError(f"a .npy file of shape {shape} and type {dtype}, not a landmark embedding")
    stored = pickles.loads(stream.read())
    held = stored.state if isinstance(stored, pickles.Record) else None
    if type(held) is not list or len(held) != 1:
        raise ValueError("a .npy file without the object it announces")
    return held[0]


def _chosen(stored: Any, keys: dict[str, str]) -> dict[str, np.ndarray]:
    if not isinstance(stored, dict):
        raise ValueError(f"it holds a {type(stored).__name__}, not a table of arrays")
    out = {}
    for ours, theirs in keys.items():
        if theirs not in stored:
            found = sorted(str(key)[:40] for key in stored)[:30]
            raise ValueError(f"the array {theirs!r} is missing; found {found}")
        try:
            out[ours] = pickles.array(stored[theirs])
        except ValueError as error:
            raise ValueError(f"{theirs}: {pickles.short(error)}") from error
        if not out[ours].ndim:
            raise ValueError(f"{theirs} is a single number")
    return out

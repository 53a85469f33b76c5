"""Reads a head model from our `.npz`, or from FLAME's own `.pkl` (which runs nothing: `pickles`).

The keys of the `.npz` are the fields of `FlameModel`, and if known `source_sha256` (the hash of the
file that the model was first read from: both files are then the same head) and the surface's
arrays (`regions`). To keep files small, a float array may be stored
  - as integers KEY with a float32 KEY_scale that broadcasts against it: KEY * KEY_scale;
  - `J_regressor`, mostly zeros, as J_regressor_rows, _cols and _vals.
A file without any landmark array makes a model without landmarks: those arrays are empty.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ofer_jax.flame import files, official, releases
from ofer_jax.flame.files import PathLike
from ofer_jax.flame.model import PARENTS, FlameModel, with_bases

_FLOATS = (
    *("v_template", "shapedirs", "exprdirs", "posedirs", "J_regressor", "lbs_weights"),
    *("lmk_bary_coords", "full_lmk_bary_coords", "dynamic_lmk_bary_coords"),
)
_INTS = ("faces", "lmk_faces_idx", "full_lmk_faces_idx", "dynamic_lmk_faces_idx")
_LANDMARKS = {
    "lmk_faces_idx": (51,),
    "lmk_bary_coords": (51, 3),
    "full_lmk_faces_idx": (68,),
    "full_lmk_bary_coords": (68, 3),
    "dynamic_lmk_faces_idx": (79, 17),
    "dynamic_lmk_bary_coords": (79, 17, 3),
}
_MAX_BYTES = 1 << 30
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def load(
    path: PathLike, landmarks: PathLike | None = None, release: str | None = None
) -> FlameModel:
    """Reads a head model: float32, metres; V = 5023 vertices, 300 shape, 100 expression for FLAME.

        head = flame.load("flame/generic_model.pkl")  # landmark_embedding.npy lies beside it
        vertices = flame.vertices(head)  # [1, 5023, 3], metres

    Args:
      path: FLAME's `.pkl` (2020, 2023, 2023 without jaw, 2023 Open), our `.npz`, or a folder with
        one of them.
      landmarks: FLAME's `landmark_embedding.npy`; left out, the one beside the `.pkl`. Without it
        a `.pkl` has no landmarks, and the calls that need them say so.
      release: which FLAME it is, where the file's name does not tell (`releases`).

    Returns:
      The model. `name` is the stored one or the file's, `sha256` the file's hash; those of an
      `.npz` that `flame.save` wrote are the ones of the file it was made from.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: one line, for a file that is not a sound model in its layout.
    """
    found = files.find(path, landmarks)
    data = read_bytes(found.model, "head model")
    arrays = _model_arrays(found.model, data)
    if found.landmarks is not None:
        arrays |= _landmark_arrays(found.landmarks)
    try:
        name = _text(arrays, "name") or found.model.stem
        sha256 = _text(arrays, "source_sha256") or hashlib.sha256(data).hexdigest()
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError("source_sha256 is not a SHA-256 in hexadecimal")
        told = _text(arrays, "release") or releases.told(name)
        told = releases.said(release) if release is not None else told
        return from_arrays(arrays, name=name, sha256=sha256, release=told)
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{found.model}: {line(error)}") from error


def read_bytes(path: Path, what: str) -> bytes:
    """A file's bytes. Raises FileNotFoundError, or ValueError for one that is far too large."""
    if not path.is_file():
        raise FileNotFoundError(f"no {what} at {path}")
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, too many for a {what}")
    return path.read_bytes()


def _model_arrays(path: Path, data: bytes) -> dict[str, np.ndarray]:
    if files.is_pickle(path):
        try:
            return official.model_arrays(data)
        except ValueError as error:
            raise ValueError(f"{path} is not a FLAME model: {line(error)}") from error
    try:
        return npz_arrays(data)
    except ValueError as error:
        raise ValueError(f"{path} is not a head model in .npz form: {line(error)}") from error


def npz_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` (no objects, read-only). Raises a ValueError if it is none, or claims
    more than it holds."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if unpacked > _MAX_BYTES:
                raise ValueError(f"it unpacks to {unpacked} bytes")
            return {m.filename.removesuffix(".npy"): npy_array(archive.read(m)) for m in members}
    except (OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(line(error)) from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        raise ValueError(line(error)) from error


def npy_array(data: bytes) -> np.ndarray:
    """The array of a `.npy` file, over its bytes. Raises a ValueError if it is no sound one."""
    stream = io.BytesIO(data)
    try:
        read = _HEADERS[np.lib.format.read_magic(stream)]
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            raise ValueError("an array of objects")
        if not dtype.itemsize:
            raise ValueError(f"an array of type {dtype}, whose values have no bytes")
        order = "F" if fortran else "C"
        return np.ndarray(shape, dtype, data, stream.tell(), order=order)
    except (*files.NO_HEADER, KeyError, OverflowError) as error:
        raise ValueError(f"not a sound .npy file: {line(error)}") from error


def _landmark_arrays(path: Path) -> dict[str, np.ndarray]:
    data = read_bytes(path, "landmark file")
    try:
        return official.landmark_arrays(data)
    except (*files.NO_HEADER, ValueError) as error:
        raise ValueError(f"{path} is not FLAME's landmark file: {line(error)}") from error


def from_arrays(
    arrays: Mapping[str, np.ndarray], *, name: str = "", sha256: str = "", release: str = ""
) -> FlameModel:
    """A model from arrays in the layout above. Raises ValueError on a missing or wrong one."""
    bare = not _LANDMARKS.keys() & arrays.keys()
    if bare:
        arrays = {**arrays, **_no_landmarks()}
    unpacked: dict[str, Any] = {key: _floats(arrays, key) for key in _FLOATS}
    for key in _INTS:
        unpacked[key] = _ints(arrays, key)
    _check_shapes(unpacked, bare)
    _check_indices(unpacked)
    unpacked |= {key: unpacked[key].astype(np.int32) for key in _INTS}
    parents = tuple(int(p) for p in arrays.get("parents", np.array(PARENTS)))
    _check_parents(parents, unpacked["J_regressor"].shape[0])
    model = FlameModel(**unpacked, parents=parents, name=name, sha256=sha256, release=release)
    return jax.device_put(with_bases(model))


def to_arrays(model: FlameModel) -> dict[str, np.ndarray]:
    """The arrays of a model in the layout above; what it lacks is left out."""
    bare = not model.lmk_faces_idx.shape[0]
    keys = [key for key in (*_FLOATS, *_INTS) if not (bare and key in _LANDMARKS)]
    texts = {"name": model.name, "release": model.release, "source_sha256": model.sha256}
    return {
        **{key: np.asarray(getattr(model, key)) for key in keys},
        "parents": np.array(model.parents),
        **{key: np.array(text) for key, text in texts.items() if text},
    }


def _text(arrays: Mapping[str, np.ndarray], key: str) -> str:
    value = arrays.get(key, np.array(""))
    if value.shape != () or value.dtype.kind != "U" or not str(value).isprintable():
        raise ValueError(f"{key} is not a line of text")
    return str(value)


def _no_landmarks() -> dict[str, np.ndarray]:
    return {
        key: np.zeros((0, *shape[1:]), np.int32 if key in _INTS else np.float32)
        for key, shape in _LANDMARKS.items()
    }


def _stored(arrays: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    if key not in arrays:
        raise ValueError(f"the array {key!r} is missing; found {sorted(arrays)}")
    return arrays[key]


def _floats(arrays: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    if key == "J_regressor" and key not in arrays and "J_regressor_vals" in arrays:
        value = _dense_regressor(arrays)
    else:
        value = _stored(arrays, key)
    integers = np.issubdtype(value.dtype, np.integer)
    if not integers and not np.issubdtype(value.dtype, np.floating):
        raise ValueError(f"{key} has type {value.dtype}, not a number's")
    if integers and f"{key}_scale" not in arrays:
        raise ValueError(f"{key} is stored as integers without {key}_scale")
    with np.errstate(over="ignore", invalid="ignore"):  # what that gives is not finite
        value = value.astype(np.float32)
        if f"{key}_scale" in arrays:
            value = _scaled(key, value, arrays[f"{key}_scale"].astype(np.float32))
    if not np.isfinite(value).all():
        raise ValueError(f"{key} holds values that are not finite")
    return value


def _scaled(key: str, value: np.ndarray, scale: np.ndarray) -> np.ndarray:
    if np.broadcast_shapes(value.shape, scale.shape) != value.shape:
        raise ValueError(f"{key}_scale has shape {scale.shape}, {key} only {value.shape}")
    return value * scale


def _ints(arrays: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    value = _stored(arrays, key)
    if not np.issubdtype(value.dtype, np.integer):
        raise ValueError(f"{key} has type {value.dtype}, not a whole number's")
    return value.astype(np.int64)


def _dense_regressor(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    rows, cols = (_stored(arrays, f"J_regressor_{part}") for part in ("rows", "cols"))
    vertices, joints = _stored(arrays, "lbs_weights").shape
    if rows.size and (rows.min() < 0 or rows.max() >= joints):
        raise ValueError(f"J_regressor_rows must lie in 0..{joints - 1}")
    if cols.size and (cols.min() < 0 or cols.max() >= vertices):
        raise ValueError(f"J_regressor_cols must lie in 0..{vertices - 1}")
    dense = np.zeros((joints, vertices), np.float32)
    np.add.at(dense, (rows, cols), arrays["J_regressor_vals"].astype(np.float32))
    return dense


def _check_shapes(arrays: Mapping[str, np.ndarray], bare: bool) -> None:
    v, j = len(arrays["v_template"]), len(PARENTS)
    wanted: dict[str, tuple[int | None, ...]] = {
        "v_template": (v, 3),
        "shapedirs": (v, 3, None),
        "exprdirs": (v, 3, None),
        "posedirs": (v, 3, 9 * (j - 1)),
        "J_regressor": (j, v),
        "lbs_weights": (v, j),
        "faces": (None, 3),
        **{key: (0, *n[1:]) if bare else n for key, n in _LANDMARKS.items()},
    }
    for key, shape in wanted.items():
        found = arrays[key].shape
        if len(found) != len(shape) or any(
            w not in (None, f) for w, f in zip(shape, found, strict=True)
        ):
            raise ValueError(f"{key} has shape {found}, expected {shape}")


def _check_indices(arrays: Mapping[str, np.ndarray]) -> None:
    for key in _INTS:
        if key in _LANDMARKS and not arrays[key].size:
            continue
        limit = arrays["v_template"].shape[0] if key == "faces" else arrays["faces"].shape[0]
        low, high = int(arrays[key].min()), int(arrays[key].max())
        if low < 0 or high >= limit:
            raise ValueError(f"{key} must lie in 0..{limit - 1}; found {low}..{high}")


def _check_parents(parents: tuple[int, ...], joints: int) -> None:
    sound = len(parents) == joints and parents[0] < 0
    if not sound or any(not 0 <= p < j for j, p in enumerate(parents) if j):
        raise ValueError(f"parents {parents} must name an earlier joint for each of {joints}")


def line(error: BaseException) -> str:
    """An error's message as one line."""
    return " ".join(str(error).split()) or type(error).__name__

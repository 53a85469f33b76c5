"""The coefficients of an entry, from a file of numbers that may be damaged or hostile.

Only the arrays that are needed are unpacked, none over `_MAX_ARRAY` bytes, and none with objects.
"""

import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from data_pipelines.sets.entry import DAMAGED, NO_PARAMETERS, NOT_FINITE, WRONG_SHAPE, Entry, Fault
from data_pipelines.sets.specs import SETS
from ofer_jax.pickles import npy

SHAPES, EXPRESSIONS = 300, 100
SIZES = {"jaw": 3, "neck": 3, "eyes": 6, "global_rotation": 3}
_IDENTITY = ("betas", "shape")
_MOMENT = ("exp", "expression", "pose", *SIZES)
# Number of values -> which rotations a pose holds, in order.
_POSES = {
    3: ("global_rotation",),
    6: ("global_rotation", "jaw"),
    12: ("global_rotation", "jaw", "eyes"),
    15: ("global_rotation", "neck", "jaw", "eyes"),
}
_MAX_FILE = 8 << 20
_MAX_ARRAY = 1 << 20


def truth(entry: Entry) -> dict[str, Any]:
    """The coefficients of a picture.

    Returns:
        shape [300], expression [100], jaw, neck, global_rotation [3] and eyes [6] (axis-angle,
        radians), float32, zeros where unknown; `has_expression`: whether expression and rotations
        are those of this very picture.

    Raises:
        Fault: a ValueError whose text is the reason (`entry.REASONS`).
    """
    keys = (*_IDENTITY, *(_MOMENT if SETS[entry.dataset].expressions else ()))
    if entry.truth.kind == "inline":
        arrays = {"shape": np.asarray(entry.truth.values, np.float64)}
    else:
        arrays = read_npz(entry.truth.path, keys)
    # One's own may have fewer coefficients than FLAME: the others are zero.
    sizes = range(1, SHAPES + 1) if entry.truth.kind in ("npz", "inline") else (SHAPES,)
    out = _coefficients(arrays, sizes)
    for name, value in out.items():
        if not np.isfinite(value).all():
            raise Fault(NOT_FINITE, name)
    return out


def read_npz(path: str, keys: Collection[str]) -> dict[str, np.ndarray]:
    """Those arrays of `keys` that a `.npz` holds, the others unread. Raises a `Fault`."""
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode):
            raise Fault(NO_PARAMETERS, "it is no plain file")
        if state.st_size > _MAX_FILE:
            raise Fault(DAMAGED, f"{state.st_size} bytes")
        with zipfile.ZipFile(path) as archive:
            return _members(archive, keys)
    except Fault:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise Fault(NO_PARAMETERS) from None
    except (OSError, EOFError, ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        raise Fault(DAMAGED, str(error)) from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, MemoryError) as error:
        raise Fault(DAMAGED, str(error)) from None
    except Exception as error:  # zipfile's parser raises struct's, and others', on broken files
        raise Fault(DAMAGED, f"{type(error).__name__}: {error}") from None


def _members(archive: zipfile.ZipFile, keys: Collection[str]) -> dict[str, np.ndarray]:
    out = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name not in keys:
            continue
        if member.file_size > _MAX_ARRAY:
            raise Fault(DAMAGED, f"{name} has {member.file_size} bytes")
        held = npy.loads_npy(archive.read(member))
        if not isinstance(held, np.ndarray):
            raise Fault(DAMAGED, f"{name} is of objects")
        out[name] = held
    return out


def _coefficients(arrays: Mapping[str, np.ndarray], sizes: Collection[int]) -> dict[str, Any]:
    """What `truth` returns; the expression in `betas` is a scan's, and never taken."""
    betas = _vector(arrays, "betas", (SHAPES, SHAPES + EXPRESSIONS))
    shape = _vector(arrays, "shape", sizes) if betas is None else betas[:SHAPES]
    if shape is None:
        raise Fault(WRONG_SHAPE, f"neither betas nor shape; found {sorted(arrays)}")
    out: dict[str, Any] = {"shape": _padded(shape, SHAPES), "expression": _padded((), EXPRESSIONS)}
    out |= {name: np.zeros(size, np.float32) for name, size in SIZES.items()}
    given = [_vector(arrays, key, range(1, EXPRESSIONS + 1)) for key in ("exp", "expression")]
    expression = next((each for each in given if each is not None), None)
    out["has_expression"] = expression is not None
    if expression is not None:
        out |= {"expression": _padded(expression, EXPRESSIONS), **_rotations(arrays)}
    return out


def _rotations(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    out, start = {}, 0
    pose = _vector(arrays, "pose", _POSES)
    pose = np.zeros(0) if pose is None else pose
    for name in _POSES.get(len(pose), ()):
        out[name] = _padded(pose[start : start + SIZES[name]], SIZES[name])
        start += SIZES[name]
    for name, size in SIZES.items():
        given = _vector(arrays, name, (size,))
        out |= {} if given is None else {name: _padded(given, size)}
    return out


def _vector(
    arrays: Mapping[str, np.ndarray], name: str, sizes: Collection[int]
) -> np.ndarray | None:
    """The values of one array in a row, or None if it is not there."""
    if name not in arrays:
        return None
    value = arrays[name]
    long = [n for n in value.shape if n != 1]
    flat = value.ndim > 0 and len(long) <= 1
    if value.dtype.kind not in "fiu" or not flat or value.size not in sizes:
        raise Fault(WRONG_SHAPE, f"{name} is {value.dtype} of shape {value.shape}")
    return value.reshape(-1)


def _padded(values: Any, size: int) -> np.ndarray:
    out = np.zeros(size, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is looked for afterwards
        out[: len(values)] = values
    return out

"""What is known of a head's surface beside its model: regions of vertices, and FaceMesh's points.

    region_face        the face: the mask 'face' of FLAME_masks.pkl, or without it the front face
    region_front       the front-face vertices that OFER ranks, in the order of their file
    region_left_eye, region_right_eye, region_eyes, region_lips       from FLAME_masks.pkl
    mesh_faces_idx, mesh_bary_coords, mesh_weight                     see `facemesh`

Regions are vertex numbers (int64). Whatever is not known is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ofer_jax import atomic, pickles
from ofer_jax.flame import facemesh, files
from ofer_jax.flame.files import Files, PathLike
from ofer_jax.flame.io import line, load, npy_array, npz_arrays, read_bytes, to_arrays
from ofer_jax.flame.model import FlameModel

_MASKS = {
    "region_face": ("face",),
    "region_left_eye": ("left_eyeball",),
    "region_right_eye": ("right_eyeball",),
    "region_eyes": ("left_eyeball", "right_eyeball"),
    "region_lips": ("lips",),
}
_STORED = ("region_", "mesh_", "material")
_MAX_LIST = 1 << 20  # bytes of a file of vertex numbers


def surface(
    path: PathLike,
    landmarks: PathLike | None = None,
    masks: PathLike | None = None,
    front: PathLike | None = None,
) -> dict[str, np.ndarray]:
    """What is known of a head's surface; names, shapes and types stand above.

        head, known = flame.load("flame/"), flame.surface("flame/")  # the user's files
        front = flame.vertices(head)[:, known["region_front"]]  # [1, 1785, 3], metres

    Args:
      path: as for `flame.load`.
      landmarks, masks, front: FLAME's `landmark_embedding.npy` and `FLAME_masks.pkl` and OFER's
        front-face vertices (`.npy` or `.txt`); left out, those beside a `.pkl` or stored in an
        `.npz`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: one line, for a file that is not what its name says.
    """
    found = files.find(path, landmarks, masks, front)
    return of_files(found, load(found.model, found.landmarks))


def of_files(found: Files, model: FlameModel) -> dict[str, np.ndarray]:
    """`surface` of files that were found, for the model that was read from them."""
    out = facemesh.known_points(model)
    if not found.pickled:
        out |= _stored(found.model, model)
    if found.front is not None:
        out["region_front"] = _front(found.front, model)
    if found.masks is not None:
        out |= _masks(found.masks, model)
    if "region_front" in out:
        out.setdefault("region_face", out["region_front"])
    return out


def save(
    path: PathLike, model: FlameModel, surface: Mapping[str, np.ndarray] | None = None
) -> None:
    """Writes a model, and what is known of its surface, as our `.npz`: `flame.load` and
    `flame.surface` give the same back. A file that is there is replaced in one step.

    Raises a ValueError of one line if the name is another's (`.pkl`), or it cannot be written.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"{path}: a head is written as .npz; name it so")
    known = {k: np.asarray(v) for k, v in (surface or {}).items() if k.startswith(_STORED)}
    try:
        with atomic.writing(path) as beside:
            np.savez(beside, allow_pickle=False, **to_arrays(model), **known)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror})") from None


def _stored(path: Path, model: FlameModel) -> dict[str, np.ndarray]:
    try:
        arrays = npz_arrays(read_bytes(path, "head model"))
        known = {key: value for key, value in arrays.items() if key.startswith(_STORED)}
        regions = {k: _region(k, v, model) for k, v in known.items() if k.startswith("region_")}
        facemesh.check(known, model)
        _check_materials(known, model)
    except ValueError as error:
        raise ValueError(f"{path}: {line(error)}") from error
    return known | regions


def _check_materials(known: Mapping[str, np.ndarray], model: FlameModel) -> None:
    if "material" not in known:
        return
    number, names = known["material"], known.get("material_names", np.zeros(0))
    if number.shape != (len(model.faces),) or number.dtype.kind not in "iu":
        raise ValueError(f"material has shape {number.shape} and type {number.dtype}")
    named = names.ndim == 1 and names.dtype.kind == "U"
    if not named or not 0 <= number.min() <= number.max() < len(names):
        raise ValueError("material_names do not name the materials")


def _masks(path: Path, model: FlameModel) -> dict[str, np.ndarray]:
    try:
        stored = pickles.loads(read_bytes(path, "region masks"))
        if type(stored) is not dict or "face" not in stored:
            raise ValueError("it is no table of regions with one named 'face'")
        return {
            key: _region(key, np.concatenate([pickles.array(stored[n]) for n in names]), model)
            for key, names in _MASKS.items()
            if set(names) <= stored.keys()
        }
    except ValueError as error:
        raise ValueError(f"{path} is not FLAME's masks: {line(error)}") from error


def _front(path: Path, model: FlameModel) -> np.ndarray:
    data = read_bytes(path, "front-face vertices")
    try:
        if len(data) > _MAX_LIST:
            raise ValueError(f"it has {len(data)} bytes")
        numbers = npy_array(data).reshape(-1) if path.suffix.lower() == ".npy" else _numbers(data)
        return _region("region_front", numbers, model)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path} is not a list of vertex numbers: {line(error)}") from error


def _numbers(data: bytes) -> np.ndarray:
    words = data.decode("ascii").replace(",", " ").split()
    return np.array([int(word) for word in words], np.int64)


def _region(key: str, value: np.ndarray, model: FlameModel) -> np.ndarray:
    """A region as int64, if it is one: numbers of vertices, each once."""
    if value.dtype.kind not in "iu" or value.ndim != 1 or not value.size:
        raise ValueError(f"{key} has shape {value.shape} and type {value.dtype}, not vertices'")
    value = value.astype(np.int64)
    if value.min() < 0 or value.max() >= model.num_vertices:
        found = f"{value.min()}..{value.max()}"
        raise ValueError(f"{key} must lie in 0..{model.num_vertices - 1}; found {found}")
    if len(np.unique(value)) != len(value):
        raise ValueError(f"{key} names a vertex twice")
    return value

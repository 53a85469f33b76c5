"""Folders of made-up FLAME files, in FLAME's own layouts, written from any head.

chumpy and SciPy are imitated while pickling: neither has to be installed.
"""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax.flame import FlameModel
from tests import torchfiles
from tests.imitations import imitated, instance
from tests.torchfiles import Kept

MODELS = {
    "FLAME 2020": "generic_model.pkl",
    "FLAME 2023": "flame2023.pkl",
    "FLAME 2023 without jaw": "flame2023_no_jaw.pkl",
    "FLAME 2023 Open": "flame2023_Open.pkl",
}
EMBEDDING, MASKS, FRONT = "landmark_embedding.npy", "FLAME_masks.pkl", "front_1785.npy"


def write(
    folder: Path,
    head: FlameModel,
    *,
    name: str = MODELS["FLAME 2020"],
    landmarks: bool = True,
    masks: Mapping[str, np.ndarray] | None = None,
    front: np.ndarray | None = None,
) -> Path:
    """Writes what a user of `head` would hold; returns the model's path.

    Args:
      folder: made if missing.
      head: with 300 shape coefficients, as in FLAME.
      name: of the model's file.
      landmarks: whether the landmark file lies beside it.
      masks: region -> vertex numbers, e.g. {'face': ...}; without it no FLAME_masks.pkl.
      front: OFER's front-face vertex numbers; without it no such file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(model_pickle(head))
    if landmarks:
        (folder / EMBEDDING).write_bytes(embedding_npy(head))
    if masks is not None:
        numbers = {region: np.asarray(index, np.int64) for region, index in masks.items()}
        (folder / MASKS).write_bytes(pickle.dumps(numbers, 2))
    if front is not None:
        np.save(folder / FRONT, np.asarray(front, np.int64))
    return folder / name


def table(head: FlameModel) -> dict[str, np.ndarray]:
    """The arrays of a FLAME model file under its own names, in float64, all dense."""
    doubles = {
        "v_template": head.v_template,
        "shapedirs": np.concatenate([head.shapedirs, head.exprdirs], axis=-1),
        "posedirs": head.posedirs,
        "J_regressor": head.J_regressor,
        "weights": head.lbs_weights,
    }
    parents = np.array(head.parents, np.int64)
    return {
        **{key: np.asarray(value, np.float64) for key, value in doubles.items()},
        "f": np.asarray(head.faces, np.uint32),
        "kintree_table": np.stack([parents % 2**32, np.arange(len(parents))]),
    }


def model_pickle(head: FlameModel) -> bytes:
    """FLAME 2020's way to store them: chumpy arrays, a sparse matrix and plain arrays."""
    chumpy, sparse = "chumpy.ch.Ch", "scipy.sparse.csc.csc_matrix"
    with imitated(chumpy, sparse) as classes:
        stored: dict[str, Any] = table(head)
        for key in ("v_template", "shapedirs", "posedirs"):
            stored[key] = instance(classes[chumpy], x=stored[key], _dirty_vars={}, _status=1)
        dense = stored["J_regressor"]
        fields = compressed(dense.T)
        stored["J_regressor"] = instance(classes[sparse], _shape=dense.shape, **fields)
        return pickle.dumps({**stored, "bs_style": "lbs", "bs_type": "lrotmin"}, 2)


def embedding_npy(head: FlameModel) -> bytes:
    """FLAME's landmark_embedding.npy: a table of NumPy arrays, and of tensors for the contour."""
    stored = {
        "static_lmk_faces_idx": Kept(np.asarray(head.lmk_faces_idx, np.int64)),
        "static_lmk_bary_coords": Kept(np.asarray(head.lmk_bary_coords, np.float64)),
        "dynamic_lmk_faces_idx": np.array(head.dynamic_lmk_faces_idx, np.int64),
        "dynamic_lmk_bary_coords": np.array(head.dynamic_lmk_bary_coords, np.float32),
        "full_lmk_faces_idx": Kept(np.asarray(head.full_lmk_faces_idx, np.int64)[None]),
        "full_lmk_bary_coords": Kept(np.asarray(head.full_lmk_bary_coords)[None]),
    }
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    return stream.getvalue() + torchfiles.dumps(Kept(np.array(stored, dtype=object)), 3)


def compressed(dense: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of a matrix compressed along its rows."""
    rows, cols = np.nonzero(dense)
    starts = np.searchsorted(rows, np.arange(dense.shape[0] + 1)).astype(np.int32)
    return {"data": dense[rows, cols], "indices": cols.astype(np.int32), "indptr": starts}

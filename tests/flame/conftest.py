"""The made-up head of the golden values, written in our own layout."""

from pathlib import Path

import numpy as np
import pytest

from ofer_jax import flame

GOLDEN = Path(__file__).parents[1] / "testdata" / "flame_layer.npz"


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as stored:
        return {key: stored[key] for key in stored.files}


@pytest.fixture(scope="session")
def arrays(golden) -> dict[str, np.ndarray]:
    return {
        "v_template": golden["v_template"],
        "shapedirs": golden["shapedirs"][..., :300],
        "exprdirs": golden["shapedirs"][..., 300:],
        "posedirs": golden["posedirs"],
        "J_regressor": golden["J_regressor"],
        "lbs_weights": golden["lbs_weights"],
        "faces": golden["faces"].astype(np.int32),
        "lmk_faces_idx": golden["static_lmk_faces_idx"],
        "lmk_bary_coords": golden["static_lmk_bary_coords"],
        "full_lmk_faces_idx": golden["full_lmk_faces_idx"][0],
        "full_lmk_bary_coords": golden["full_lmk_bary_coords"][0],
        "dynamic_lmk_faces_idx": golden["dynamic_lmk_faces_idx"],
        "dynamic_lmk_bary_coords": golden["dynamic_lmk_bary_coords"],
        "parents": np.array([-1, 0, 1, 1, 1]),
        "name": np.array("made-up"),
    }


@pytest.fixture(scope="session")
def model(arrays, tmp_path_factory) -> flame.FlameModel:
    path = tmp_path_factory.mktemp("head") / "head.npz"
    np.savez(path, **arrays)
    return flame.load(path)

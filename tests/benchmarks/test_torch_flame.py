"""The PyTorch FLAME layer that we compare with is FLAME's (skipped without PyTorch)."""

import numpy as np
import pytest

from ofer_jax import flame
from ofer_jax.flame.io import from_arrays
from tests import untrained

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install -e '.[torch]'")
POSE = ("global_rotation", "neck", "jaw", "eyes")


def run(head, **values):
    from benchmarks.torch_flame import Flame

    with torch.inference_mode():
        given = {name: torch.from_numpy(value) for name, value in values.items()}
        return Flame(head)(**given).numpy()


def test_flame_is_ours(rng):
    head = untrained.head()
    sizes = {"shape": 200, "expression": 50, "jaw": 3}
    values = {k: 0.3 * rng.standard_normal((2, n), np.float32) for k, n in sizes.items()}
    for names in (["shape"], ["shape", "jaw"], list(values)):
        given = {name: values[name] for name in names}
        np.testing.assert_allclose(run(head, **given), flame.vertices(head, **given), atol=2e-6)


def test_all_joints_agree_with_the_golden_values(testdata):
    with np.load(testdata / "flame_layer.npz") as stored:
        golden = {key: stored[key] for key in stored.files}
    arrays = {key: golden[key] for key in ("v_template", "posedirs", "J_regressor", "lbs_weights")}
    arrays |= {"shapedirs": golden["shapedirs"][..., :300], "faces": golden["faces"]}
    head = from_arrays(arrays | {"exprdirs": golden["shapedirs"][..., 300:]})
    pose = np.concatenate([golden[f"in_{name}"] for name in POSE], axis=1).reshape(-1, 5, 3)
    values = {"shape": golden["in_shape"], "expression": golden["in_expression"], "pose": pose}
    out = run(head, **{name: np.float32(value) for name, value in values.items()})
    assert np.abs(out - golden["out_vertices"]).max() < 1e-6

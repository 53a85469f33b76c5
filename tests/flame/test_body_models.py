"""Our layer against another one, of the PyPI package `body-models`: both read one made-up file.

`pip install 'body-models[jax]'` to run it; it is no dependency of ours.
"""

import jax
import numpy as np
import pytest

from ofer_jax import flame
from tests import flame_files, untrained

theirs = pytest.importorskip("body_models.flame.jax", reason="needs the package body-models")
BATCH = 16


@pytest.fixture(scope="module", params=["open head", "golden head"])
def both(request, model, tmp_path_factory):
    """(their model, ours), read from the same file in FLAME's layout."""
    head = untrained.head() if request.param == "open head" else model
    path = flame_files.write(tmp_path_factory.mktemp("flame"), head)
    return theirs.FLAME(model_path=path), flame.load(path)


@pytest.fixture(scope="module")
def inputs():
    sizes = {"shape": 300, "expression": 100, "global_rotation": 3, "neck": 3, "jaw": 3, "eyes": 6}
    rng = np.random.default_rng(0)
    scale = {"shape": 1.0, "expression": 1.0}
    return {
        name: (scale.get(name, 0.5) * rng.standard_normal((BATCH, size))).astype(np.float32)
        for name, size in sizes.items()
    }


@pytest.mark.parametrize(
    "given",
    [
        ("shape", "expression"),
        ("shape", "expression", "jaw"),
        ("shape", "expression", "neck", "jaw", "eyes"),
        ("shape", "expression", "global_rotation", "neck", "jaw", "eyes"),
    ],
)
def test_vertices_agree_with_body_models(both, inputs, given):
    other, ours = both
    zeroed = {name: value * (name in given) for name, value in inputs.items()}
    pose = np.concatenate([zeroed[name] for name in ("neck", "jaw", "eyes")], axis=1)
    with jax.numpy_rank_promotion("allow"):  # theirs adds without saying how
        expected = other.forward_vertices(
            pose.reshape(BATCH, 4, 3),
            head_rotation=zeroed["global_rotation"],
            shape=zeroed["shape"],
            expression=zeroed["expression"],
        )
    out = flame.vertices(ours, **{name: inputs[name] for name in given})
    worst = float(np.abs(np.asarray(out) - np.asarray(expected)).max())
    assert worst < 1e-6

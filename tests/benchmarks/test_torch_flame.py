"""The PyTorch FLAME layer that we compare with is FLAME's (skipped without PyTorch)."""

import numpy as np
import pytest

from ofer_jax import flame
from tests import untrained

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install -e '.[torch]'")


def test_flame_is_ours(rng):
    from benchmarks.torch_flame import Flame

    head = untrained.head()
    sizes = {"shape": 200, "expression": 50, "jaw": 3}
    values = {k: 0.3 * rng.standard_normal((2, n), np.float32) for k, n in sizes.items()}
    layer = Flame(head)
    for names in (["shape"], ["shape", "jaw"], list(values)):
        given = {name: values[name] for name in names}
        with torch.inference_mode():
            out = layer(**{name: torch.from_numpy(v) for name, v in given.items()}).numpy()
        np.testing.assert_allclose(out, flame.vertices(head, **given), atol=2e-6)

"""What is written reads back by the format's own library."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from ofer_jax import tensors

ARRAYS = {
    "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T,  # not contiguous
    "b/mean": np.float32(0.5),
    "c/none": np.zeros((0, 3), np.float32),
    "ä": np.array([1e-3, -2.5], np.float32),
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_arrays_come_back(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    digest = tensors.write(path, ARRAYS, dtype)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    read = safetensors.numpy.load_file(path)
    assert set(read) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == dtype
        np.testing.assert_allclose(read[name], array, rtol=1e-3)


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    large = {"stage/var": np.array([1.0, 1e5], np.float32)}
    tensors.write(tmp_path / "x", large, "float32")
    with pytest.raises(ValueError, match=r"stage/var does not fit into float16; store .* float32"):
        tensors.write(tmp_path / "x", large, "float16")

"""Strict settings for every test: 8 fake CPU devices and no silent broadcasting of ranks."""

from pathlib import Path

import jax
import numpy as np
import pytest

# Before anything asks JAX for a device: afterwards the number of devices is fixed.
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

ROOT = Path(__file__).resolve().parents[1]


def shared_dir() -> Path:
    """The folder of golden values and photographs that may lie beside the checkout."""
    return ROOT.parent / "shared"


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def testdata() -> Path:
    """Small committed inputs and golden values."""
    return ROOT / "tests" / "testdata"


@pytest.fixture(scope="session")
def shared() -> Path:
    """`../shared`; a test that needs it is skipped where it is missing."""
    path = shared_dir()
    if not path.is_dir():
        pytest.skip("needs the folder ../shared beside the checkout")
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers for every test."""
    return np.random.default_rng(0)

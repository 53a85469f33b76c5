"""Strict settings for every test: 8 fake CPU devices and no silent broadcasting of ranks.

Compiling takes most of the time, so programs are compiled plainly, and once for all tests and the
processes that they start; where golden values are compared, as users do (`optimised`), and with
`XLA_FLAGS= JAX_DISABLE_MOST_OPTIMIZATIONS=0 make test` everywhere.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

# Before anything asks JAX for a device: afterwards the number of devices is fixed.
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

QUICK = "--xla_cpu_parallel_codegen_split_count=1"
if jax.__version_info__ < (0, 11):  # later ones have but one way, which takes twice as long
    QUICK += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", QUICK)
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
plainly = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] not in ("", "0")
jax.config.update("jax_disable_most_optimizations", plainly)
seconds = float(os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """One folder for what is compiled: the workers of pytest-xdist inherit it."""
    if not hasattr(config, "workerinput"):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="ofer-compiled-")
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop("JAX_COMPILATION_CACHE_DIR"), ignore_errors=True)


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


@pytest.fixture(scope="module")
def optimised() -> Iterator[None]:
    """Compile as users do, for what depends on it."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers for every test."""
    return np.random.default_rng(0)

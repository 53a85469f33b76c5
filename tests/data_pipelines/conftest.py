"""The open head, and a tiny data set, built once for all passes over it."""

import pathlib
import shutil

import pytest

from ofer_jax import flame, openhead
from tests import squares


@pytest.fixture(scope="session")
def head() -> flame.FlameModel:
    """The open head."""
    return flame.load(openhead.head_path())


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The data set, not to be changed."""
    out = tmp_path_factory.mktemp("data") / "set"
    squares.build(out)
    return out


@pytest.fixture
def folder(source: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of it for one test, at which nobody has looked."""
    squares.LOOKED_AT.clear()
    return pathlib.Path(shutil.copytree(source, tmp_path / "set"))

"""Small networks in the official layouts, and a head that they fit."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ofer_jax import flame, openhead
from ofer_jax import published as program
from tests import small_published


@pytest.fixture
def small(monkeypatch) -> None:
    """The published configs, but for one block a stage in ArcFace, one in FaRL, a small ranker."""
    small_published.shrink(monkeypatch.setattr)


@pytest.fixture
def write(tmp_path) -> Callable[..., list[Path]]:
    """`small_published.write` into the test's folder."""
    return functools.partial(small_published.write, tmp_path)


@pytest.fixture(scope="session")
def head() -> flame.FlameModel:
    """The open head, which has FLAME's sizes."""
    return dataclasses.replace(flame.load(openhead.head_path()), release="FLAME 2023")


@pytest.fixture(scope="session")
def surface() -> dict[str, np.ndarray]:
    """With as many front-face vertices as the ranker sees."""
    known = dict(openhead.surface())
    return known | {"region_front": known["region_front"][: program.FRONT]}

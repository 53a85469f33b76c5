"""The examples in the docstrings run, and give the shapes that they promise."""

import inspect
import re
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import flame
from tests import flame_files, untrained

PUBLIC = (flame.load, flame.vertices, flame.landmarks, flame.surface)


def example(function) -> str:
    """The lines of a docstring that are indented deeper than its text, up to the next blank."""
    text = inspect.cleandoc(function.__doc__)
    return textwrap.dedent(next(part for part in text.split("\n\n") if part.startswith("    ")))


@pytest.mark.parametrize("function", PUBLIC, ids=lambda f: f.__name__)
def test_an_example_runs_and_gives_what_it_says(function, tmp_path, monkeypatch):
    front = np.arange(1785)
    flame_files.write(tmp_path / "flame", untrained.head(), front=front)
    monkeypatch.chdir(tmp_path)
    code, names = example(function), {"flame": flame, "jnp": jnp}
    assert len(code.splitlines()) == 2 and f"flame.{function.__name__}(" in code
    exec(code, names)
    ((name, shape),) = re.findall(r"^(\w+) = .*# \[([\d, ]+)\], metres$", code, re.MULTILINE)
    assert names[name].shape == tuple(map(int, shape.split(", ")))

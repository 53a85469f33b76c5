"""Programs that are kept are not traced again, and what cannot be kept does no harm."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import compiled


@pytest.fixture
def settings(monkeypatch):
    """What `keep` would change, recorded instead, for a user who has set nothing."""
    changed = {}
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(compiled, "_folder", lambda: None)
    monkeypatch.setattr(jax.config, "update", lambda name, value: changed.update({name: value}))
    return changed


def test_compiled_programs_go_to_the_users_cache(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled.keep()
    assert settings["jax_compilation_cache_dir"].startswith(str(tmp_path / "ofer_jax"))
    assert Path(settings["jax_compilation_cache_dir"]).is_dir()


@pytest.mark.parametrize("theirs", ["", "/theirs"])
def test_a_users_own_setting_goes_first(settings, monkeypatch, tmp_path, theirs):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiled, "_folder", lambda: theirs)
    compiled.keep()
    assert settings == {}


def test_a_cache_that_cannot_be_written_is_done_without(settings, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    compiled.keep()
    assert settings == {}


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "_folder", lambda: str(tmp_path))
    return tmp_path


def _make(traced: list[str], about: str = ""):
    """A program that counts how often it is traced."""

    def function(tree, keys):
        traced.append(about)
        return {"sum": tree["a"] + tree["b"], "drawn": jax.vmap(jax.random.normal)(keys)}

    given = {"a": np.float32([1, 2]), "b": np.float32([3, 4])}, jax.random.split(jax.random.key(0))
    return compiled.program(function, given, about)(*given)


def test_a_kept_program_is_not_traced_again(folder):
    traced: list[str] = []
    first, second = _make(traced), _make(traced)
    assert len(traced) == 1
    jax.tree.map(np.testing.assert_array_equal, first, second)
    np.testing.assert_array_equal(first["sum"], [4, 6])
    _make(traced, "another")
    assert traced == ["", "another"]


@pytest.mark.parametrize("damage", [b"", b"x" * 200])
def test_a_damaged_one_is_made_anew(folder, damage):
    traced: list[str] = []
    expected = _make(traced)
    (kept,) = folder.glob("*.stablehlo")
    kept.write_bytes(damage)
    jax.tree.map(np.testing.assert_array_equal, expected, _make(traced))
    assert len(traced) == 2
    _make(traced)
    assert len(traced) == 2


def test_without_a_folder_programs_run_all_the_same(monkeypatch):
    monkeypatch.setattr(compiled, "_folder", lambda: None)
    traced: list[str] = []
    np.testing.assert_array_equal(_make(traced)["sum"], jnp.array([4.0, 6.0]))


def test_help_needs_no_jax_and_a_reconstruction_no_training():
    code = """
import sys
from ofer_jax import cli
try:
    cli.main(["reconstruct", "--help"])
except SystemExit:
    pass
assert "jax" not in sys.modules
from ofer_jax import report
heavy = {"orbax", "scipy", "trimesh", "tensorboardX", "grain", "tensorflow_datasets"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]

"""Compiled programs, kept in the user's cache folder from one process to the next.

`keep` switches JAX's persistent cache on, which spares the compiler. What it does not spare is the
tracing of a program and its translation to StableHLO, in Python; so `program` keeps the StableHLO
too, under a hash of all that it depends on. It is data that the compiler reads (`jax.export`), no
pickle.
"""

import hashlib
import os
import platform
import tempfile
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
from jax import export
from jax.experimental import compilation_cache

from ofer_jax import atomic


def keep() -> None:
    """Keeps compiled programs in the user's cache folder, where one can be written.

    JAX's own setting goes first, made by JAX_COMPILATION_CACHE_DIR (set it empty for no cache) or
    by `jax.config`.
    """
    if _folder() is not None or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    # Programs for a CPU are made for its very instruction set: none is shared between machines.
    folder = Path(base) / "ofer_jax" / f"jax-{jax.__version__}-{platform.node() or 'host'}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # JAX asks for its folder once, at the first compilation, which may have been before.
    compilation_cache.compilation_cache.reset_cache()


def program(
    function: Callable[..., Any], arguments: tuple[Any, ...], about: str
) -> Callable[..., Any]:
    """The function compiled for arguments of these shapes, which are not traced if an earlier
    process did so.

    Args:
        function: of arrays, a function of this package.
        arguments: arrays, or what stands for them (`jax.ShapeDtypeStruct`).
        about: all else that the function depends on.

    Returns:
        What takes such arguments.
    """
    leaves, tree = jax.tree.flatten(arguments)
    kinds = [jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype) for leaf in leaves]
    path = _path(f"{about} {tree} {kinds}")
    exported = _read(path)
    if exported is None:
        flat = jax.jit(lambda *leaves: function(*jax.tree.unflatten(tree, leaves)))
        exported = export.export(flat)(*kinds)
        _write(path, exported)
    compiled = jax.jit(exported.call).lower(*kinds).compile()
    return lambda *arguments: compiled(*jax.tree.leaves(arguments))


def _folder() -> str | None:
    """JAX's setting."""
    return jax.config.values["jax_compilation_cache_dir"]


def _path(about: str) -> Path | None:
    """Where a program is kept; None without a cache folder."""
    folder = _folder()
    if not folder or "://" in folder:  # JAX can use a bucket, this cannot
        return None
    device = jax.devices()[0]
    settings = sorted(jax.config.values.items())  # some change what is traced
    versions = [jax.__version__, jaxlib.__version__, metadata.version("flax")]
    known = [*versions, device.device_kind, _source(), settings, about]
    return Path(folder) / f"ofer-{hashlib.sha256(repr(known).encode()).hexdigest()}.stablehlo"


@cache
def _source() -> str:
    """A hash of this package's code."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def _read(path: Path | None) -> export.Exported | None:
    """A kept program; None if there is none, or a damaged one."""
    try:
        data = path.read_bytes() if path else b""
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            return None
        return export.deserialize(bytearray(data[32:]))
    except (OSError, ValueError):
        return None


def _write(path: Path | None, exported: export.Exported) -> None:
    if path is None:
        return
    data = bytes(exported.serialize())
    try:
        atomic.write_bytes(path, hashlib.sha256(data).digest() + data, sync=False)
    except OSError:  # a full disk: it is made anew each time
        return

"""OFER in JAX: from a photograph, perhaps half hidden, to a ranked set of 3D faces.

    import ofer_jax
    result = ofer_jax.load()("photo.jpg")   # see ofer_jax.reconstruct.Reconstruction

Importing the package is cheap; JAX is imported with the first name taken from it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ofer_jax import flame
    from ofer_jax.reconstruct import load

__version__ = "0.1.0"
__all__ = ["__version__", "flame", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        return importlib.import_module("ofer_jax.reconstruct").load
    if name == "flame":
        return importlib.import_module("ofer_jax.flame")
    raise AttributeError(f"module 'ofer_jax' has no attribute {name!r}")

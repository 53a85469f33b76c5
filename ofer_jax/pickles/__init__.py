"""Reads a pickle without ever calling what it names.

Arrays, PyTorch's tensors, chumpy's `Ch` and SciPy's sparse matrices come out as inert `Record`s,
which `array` turns into NumPy arrays; everything else is of Python's plain types, or is refused by
name.
"""

from __future__ import annotations

from typing import Any

from ofer_jax.pickles import tensors
from ofer_jax.pickles.machine import ERRORS, Budget, Machine
from ofer_jax.pickles.npy import loads_list, loads_npy, unpacked
from ofer_jax.pickles.values import Record, array, plain, short

__all__ = [
    "ERRORS",
    "Record",
    "array",
    "loads",
    "loads_list",
    "loads_npy",
    "plain",
    "short",
    "unpacked",
]

_MAX_BYTES = 128 << 20  # FLAME's largest file has 54 MB


def loads(data: bytes) -> Any:
    """The object in a pickle (protocols 0 to 5), of builtin types and `Record`s.

    Raises a ValueError of one line, naming it, if the file asks for anything but data.
    """
    if len(data) > _MAX_BYTES:
        raise ValueError(f"a pickle of {len(data)} bytes; at most {_MAX_BYTES} are read")
    try:
        return Machine(tensors.ALLOWED, tensors.CALLS, Budget(len(data))).run(data)
    except ERRORS as error:
        raise ValueError(f"not a pickle of plain data: {short(error)}") from None

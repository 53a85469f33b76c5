"""Runs the exported chain: needs jax (with flatbuffers) and numpy, and nothing of its makers.

    from load import run

    outputs = run(inputs)

Both are arrays by name, as manifest.json tells, for any number of faces. As a command:

    python load.py inputs.npz outputs.npz
"""

import hashlib
import json
import sys
from functools import cache
from pathlib import Path

import jax
import numpy as np
from jax import export

HERE = Path(__file__).parent


def _whole(name, manifest):
    with (HERE / name).open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != manifest["files"][name]["sha256"]:
            raise ValueError(f"{name} is damaged, or of another export than manifest.json")
    return HERE / name


@cache
def program():
    """The chain (compiled at the first call for each B), its arrays, and its inputs' kinds."""
    manifest = json.loads((HERE / "manifest.json").read_text())
    exported = export.deserialize(bytearray(_whole("chain.jax", manifest).read_bytes()))
    kinds, inputs = jax.tree.unflatten(exported.in_tree, exported.in_avals)[0]
    with np.load(_whole("arrays.npz", manifest)) as stored:
        arrays = {name: stored[name].view(kind.dtype) for name, kind in kinds.items()}
    return jax.jit(exported.call), jax.device_put(arrays), inputs


def run(inputs):
    """The outputs, numpy arrays by name, of B faces."""
    call, arrays, kinds = program()
    given = {name: np.asarray(inputs[name]) for name in kinds}
    given = {k: v.astype(kinds[k].dtype, casting="same_kind") for k, v in given.items()}
    return jax.device_get(call(arrays, given))


if __name__ == "__main__":
    try:
        np.savez(sys.argv[2], **run(np.load(sys.argv[1])))
    except Exception as error:  # a missing or damaged file, other inputs, another jax: one line
        sys.exit(f"load.py: {type(error).__name__}: {' '.join(str(error).split())[:200]}")

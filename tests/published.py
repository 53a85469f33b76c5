"""Golden values of the published networks, and the rule that makes their weights."""

import functools
import json
import zlib
from pathlib import Path

import numpy as np

TESTDATA = Path(__file__).parent / "testdata"


def value(key: str, shape: list[int]) -> np.ndarray:
    """The rule's array for a state-dict key."""
    n = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_var"):
        out = 1 + 0.1 * np.abs(n)
    elif key.endswith(("running_mean", "bias")):
        out = 0.1 * n
    elif len(shape) == 1:
        out = 0.25 + 0.05 * n if "prelu" in key else 1 + 0.1 * n
    else:
        out = n * (0.5 if len(shape) == 4 else 1) / np.sqrt(np.prod(shape[1:]))
    return out.astype(np.float32)


def state_dict(name: str) -> dict[str, np.ndarray]:
    """A network's state dict, with what a checkpoint lacks."""
    return {key: value(key, shape) for key, shape in shapes(name).items()}


def shapes(name: str) -> dict[str, list[int]]:
    """The shapes of a network's state dict."""
    entry = _networks()[name]
    return entry["state_dict"] | entry.get("not_in_checkpoint", {})


def not_in_checkpoint(name: str) -> set[str]:
    """The keys that a checkpoint lacks: the attention projections."""
    return set(_networks()[name].get("not_in_checkpoint", {}))


def config(name: str) -> dict:
    """A network's configuration."""
    return _networks()[name]["config"]


def golden(name: str) -> dict[str, np.ndarray]:
    """A file of golden values."""
    with np.load(TESTDATA / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored.files}


@functools.cache
def _networks() -> dict:
    return json.loads((TESTDATA / "state_dicts.json").read_text())

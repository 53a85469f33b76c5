"""Runs a jitted function over a list of pictures in batches of one or of `BATCH`, padded.

Two sizes only, so each network compiles twice at most. On a CPU core eight small pictures still fit
the cache; larger batches were measured slower there.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np

BATCH = 8


def run(
    function: Callable[[np.ndarray], tuple[jax.Array, ...]], pictures: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """The function's outputs (numpy, first axis the pictures) for pictures of one shape."""
    chunks, start = [], 0
    while start < len(pictures):
        size = 1 if len(pictures) - start == 1 else BATCH
        batch = list(pictures[start : start + size])
        count = len(batch)
        batch += [np.zeros_like(batch[0])] * (size - count)
        outputs = function(np.stack(batch))
        chunks.append([np.asarray(o)[:count] for o in outputs])
        start += count
    return tuple(np.concatenate(parts) for parts in zip(*chunks, strict=True))

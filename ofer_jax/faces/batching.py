"""Runs a jitted function over a list of pictures in batches of `BATCH` (padded), or one by one.

Two sizes only, so each network compiles twice at most, and a run over a few pictures or over many
needs but one of them. Eight small pictures still fit a CPU core's cache; larger batches were
measured slower there.
"""

from collections.abc import Callable, Sequence

import jax
import numpy as np

BATCH = 8
FEW = 3  # up to this many pictures go one by one: padding, or a second compilation, costs more


def run(
    function: Callable[[np.ndarray], tuple[jax.Array, ...]], pictures: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """The function's outputs (numpy, first axis the pictures) for pictures of one shape."""
    size = 1 if len(pictures) <= FEW else BATCH
    chunks = []
    for start in range(0, len(pictures), size):
        batch = list(pictures[start : start + size])
        padding = [np.zeros_like(batch[0])] * (size - len(batch))
        outputs = function(np.stack(batch + padding))
        chunks.append([np.asarray(o)[: len(batch)] for o in outputs])
    return tuple(np.concatenate(parts) for parts in zip(*chunks, strict=True))

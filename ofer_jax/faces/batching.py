"""Runs a network over a list of pictures in batches of `BATCH` (padded), or one by one.

Two sizes only, so each network compiles twice at most, and a run over a few pictures or over many
needs but one of them. Eight small pictures still fit a CPU core's cache; larger batches were
measured slower there.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import numpy as np

from ofer_jax import compiled

BATCH = 8
Function = Callable[..., tuple[jax.Array, ...]]
FEW = 3  # up to this many pictures go one by one: padding, or a second compilation, costs more


def run(
    network: Callable[[], tuple[Function, Any]], pictures: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """A network's outputs (numpy, first axis the pictures) for pictures uint8 of one shape.

    `network()` gives the function (weights, pictures) -> outputs and its weights; cached.
    """
    size = 1 if len(pictures) <= FEW else BATCH
    program, (_, weights) = _program(network, (size, *pictures[0].shape)), network()
    chunks = []
    for start in range(0, len(pictures), size):
        batch = list(pictures[start : start + size])
        padding = [np.zeros_like(batch[0])] * (size - len(batch))
        outputs = program(weights, np.stack(batch + padding))
        chunks.append([np.asarray(o)[: len(batch)] for o in outputs])
    return tuple(np.concatenate(parts) for parts in zip(*chunks, strict=True))


@cache
def _program(
    network: Callable[[], tuple[Function, Any]], shape: tuple[int, ...]
) -> Callable[..., tuple[jax.Array, ...]]:
    function, weights = network()
    pictures = jax.ShapeDtypeStruct(shape, np.uint8)
    # The source, which is hashed, and the weights' names and shapes tell the function apart.
    return compiled.program(function, (weights, pictures), network.__module__)

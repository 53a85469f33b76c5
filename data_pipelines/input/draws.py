"""Random numbers that are a hash: of the seed and of an example's index, of nothing else."""

import numpy as np


def uniform(seed: int, index: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each index, from a hash (SplitMix64, Steele et al. 2014)."""
    start = np.uint64(np.random.default_rng(seed).integers(2**63))
    z = start + index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53

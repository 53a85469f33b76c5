"""What a batch needs to know of the devices that share it; outside a `shard_map`, nothing.

In the training step each device works on its own rows (`sharding.spread`), and what it returns is
averaged. What is no mean over rows, as a variance or a ratio of means, asks for the means here.
"""

import math

import jax

from ofer_jax.arrays import Array


def mean(x: Array) -> Array:
    """`x` averaged over the devices that share the batch."""
    axes = jax.sharding.get_abstract_mesh().manual_axes
    return jax.lax.pmean(x, axes) if axes else x


def count() -> int:
    """The number of devices that share the batch."""
    mesh = jax.sharding.get_abstract_mesh()
    return math.prod(mesh.shape[name] for name in mesh.manual_axes)

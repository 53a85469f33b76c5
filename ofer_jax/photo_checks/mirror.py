"""The mirror image of a head: which vertex lies opposite to which."""

from collections.abc import Mapping

import numpy as np

from ofer_jax.arrays import Float, Int
from ofer_jax.flame import FlameModel

_NEAR = 3e-3  # metres: a vertex whose mirror image is farther from any other has no counterpart


def counterparts(
    model: FlameModel, surface: Mapping[str, np.ndarray], region: Int[np.ndarray, "R"]
) -> tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
    """(vertices of `region` that have a counterpart in it, the counterpart of each).

    `surface["symmetry"]` [V] tells for the open head. For another head the vertex nearest to the
    mirror image (x to -x) in the mean head counts, where both choose each other.

    Raises:
      ValueError: a head that is not symmetric about x = 0.
    """
    if "symmetry" in surface:
        opposite = np.asarray(surface["symmetry"], np.int64)
    else:
        opposite = _nearest(np.asarray(model.v_template, np.float64))
    region = np.asarray(region, np.int64)
    paired = np.isin(opposite[region], region)
    if paired.mean() < 0.5:
        raise ValueError(
            f"head {model.name!r}: {paired.sum()} of {len(region)} vertices of the face have a "
            "counterpart on the other side; its middle must lie at x = 0"
        )
    return region[paired], opposite[region[paired]]


def _nearest(template: Float[np.ndarray, "V 3"]) -> Int[np.ndarray, "V"]:
    """The counterpart of each vertex; -1 for none."""
    mirrored = template * [-1, 1, 1]
    norm = (template**2).sum(1)  # of a mirror image, too
    squared = norm[:, None] + norm[None, :] - 2 * mirrored @ template.T
    found, near = squared.argmin(1), squared.min(1) < _NEAR**2
    mutual = found[found] == np.arange(len(found))
    return np.where(near & mutual, found, -1)


def mirrored(
    vertices: Float[np.ndarray, "*B V 3"],
    pairs: tuple[Int[np.ndarray, "Q"], Int[np.ndarray, "Q"]],
) -> Float[np.ndarray, "*B Q 3"]:
    """The mirror images of heads at the vertices `pairs[0]` of `counterparts`."""
    return vertices[..., pairs[1], :] * np.array([-1, 1, 1], vertices.dtype)

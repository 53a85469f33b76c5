"""How far one face is from another, and whether a set of samples is as wide as it is wrong.

Errors are taken after a rigid alignment (rotation and translation, no scale: the unit is metres).
The rotation R that minimises sum_n |R x_n - y_n|^2 is found by Horn's method ("Closed-form solution
of absolute orientation using unit quaternions", JOSA A 1987): the quaternion is the eigenvector of
the largest eigenvalue of a symmetric 4 x 4 matrix made of S = sum_n x_n y_n^T. It is never a
reflection, and needs no case distinction, unlike the SVD of S.

Calibration of K samples x_k of a truth y, with their mean m and each sample first aligned to m:
spread = the unbiased variance summed over vertices, miss = |align(m, y) - y|^2 summed likewise. The
sum over faces of spread over the sum over faces of miss is K / (K + 1), in expectation, for
samples of the true posterior; less for samples that are too sure.

Bootstrap: every figure here is a ratio of sums over pictures, so a resample is a vector of weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ofer_jax.arrays import Array, Float, Int

Figures = dict[str, Float[np.ndarray, "N"]]


def rotation(
    source: Float[Array, "*B N 3"], target: Float[Array, "*B N 3"]
) -> Float[Array, "*B 3 3"]:
    """The rotation R for which `source @ R.T` lies nearest to `target`, both centred (any unit)."""
    s = jnp.einsum("...ni,...nj->...ij", source, target, precision="highest")
    # Only the eigenvectors matter; at a scale of one, float32 keeps its digits.
    s = s / jnp.maximum(jnp.max(jnp.abs(s), axis=(-2, -1), keepdims=True), 1e-30)
    xx, xy, xz = (s[..., 0, i] for i in range(3))
    yx, yy, yz = (s[..., 1, i] for i in range(3))
    zx, zy, zz = (s[..., 2, i] for i in range(3))
    horn = _matrix(
        (xx + yy + zz, yz - zy, zx - xz, xy - yx),
        (yz - zy, xx - yy - zz, xy + yx, zx + xz),
        (zx - xz, xy + yx, yy - xx - zz, yz + zy),
        (xy - yx, zx + xz, yz + zy, zz - xx - yy),
    )
    w, x, y, z = jnp.moveaxis(jnp.linalg.eigh(horn)[1][..., -1], -1, 0)
    return _matrix(
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )


def _matrix(*rows: tuple[Array, ...]) -> Array:
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def rigid_align(
    source: Float[Array, "*B N 3"], target: Float[Array, "*B N 3"]
) -> Float[Array, "*B N 3"]:
    """`source` moved rigidly (no scale) onto `target`, vertex n onto vertex n; equal shapes.

    Raises:
      ValueError: if the shapes differ.
    """
    if source.shape != target.shape:
        raise ValueError(f"cannot align vertices {source.shape} to vertices {target.shape}")
    centre = jnp.mean(target, axis=-2, keepdims=True)
    centred = source - jnp.mean(source, axis=-2, keepdims=True)
    turn = rotation(centred, target - centre)
    return jnp.einsum("...nj,...ij->...ni", centred, turn, precision="highest") + centre


def distance(a: Float[Array, "*B N 3"], b: Float[Array, "*B N 3"]) -> Float[Array, "*B"]:
    """Mean over the vertices of their Euclidean distance, without an alignment."""
    return jnp.mean(jnp.sqrt(jnp.sum(jnp.square(a - b), axis=-1)), axis=-1)


def vertex_error(
    predicted: Float[Array, "*B N 3"], truth: Float[Array, "*B N 3"]
) -> Float[Array, "*B"]:
    """Mean vertex distance after aligning `predicted` rigidly to `truth`; unit of the input."""
    return distance(rigid_align(predicted, truth), truth)


class Spread(NamedTuple):
    """What calibration is made of, summed over the vertices; unit of the input squared."""

    spread: Float[Array, "B"]
    miss: Float[Array, "B"]


def align_to(
    samples: Float[Array, "B K N 3"], target: Float[Array, "B N 3"]
) -> Float[Array, "B K N 3"]:
    """Each sample aligned rigidly to its picture's one target."""
    return rigid_align(samples, jnp.broadcast_to(target[:, None], samples.shape))


def spread(
    aligned: Float[Array, "B K N 3"], mean: Float[Array, "B N 3"], truth: Float[Array, "B N 3"]
) -> Spread:
    """Spread and miss of samples that `align_to` brought onto their `mean` (see the top)."""
    variance = jnp.var(aligned, axis=1, ddof=1)
    missed = jnp.square(rigid_align(mean, truth) - truth)
    return Spread(jnp.sum(variance, axis=(-2, -1)), jnp.sum(missed, axis=(-2, -1)))


def medoid(aligned: Float[Array, "B K N 3"]) -> Int[Array, "B"]:
    """Number of the sample with the least sum of root mean square vertex distances to the others.

    (With squared distances it would be the sample nearest to the mean.)
    """
    return jnp.argmin(to_others(aligned), axis=-1)


def to_others(aligned: Float[Array, "B K N 3"]) -> Float[Array, "B K"]:
    """Sum of each sample's root mean square vertex distances to the others, their unit."""
    flat = aligned.reshape(*aligned.shape[:2], -1)
    flat = flat - jnp.mean(flat, axis=1, keepdims=True)  # keeps float32's digits in the products
    product = jnp.einsum("bkn,bln->bkl", flat, flat, precision="highest")
    norm = jnp.diagonal(product, axis1=1, axis2=2)
    squared = norm[:, :, None] + norm[:, None, :] - 2 * product
    return jnp.sum(jnp.sqrt(jnp.maximum(squared, 0.0)), axis=-1)


def recovered_gap(
    average: Float[np.ndarray, "R"], picked: Float[np.ndarray, "R"], oracle: Float[np.ndarray, "R"]
) -> Float[np.ndarray, "R"]:
    """(average - picked) / (average - oracle): 1 for the best sample every time, 0 for chance."""
    return (average - picked) / (average - oracle)


class Estimate(NamedTuple):
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float


def resamples(
    subject: Int[np.ndarray, "N"], *, seed: int = 0, rounds: int = 2000
) -> Float[np.ndarray, "R N"]:
    """Weights of `rounds` bootstrap resamples: whole faces are drawn, with all their pictures.

    Row 0 is the sample itself (weights of one), so that the same code gives value and interval.
    """
    faces, member = np.unique(subject, return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(faces), np.full(len(faces), 1 / len(faces)), size=rounds)
    return np.concatenate([np.ones((1, len(subject))), counts[:, member]])


def estimate(
    statistic: Callable[[Figures], Float[np.ndarray, "R"]],
    figures: Figures,
    weights: Float[np.ndarray, "R N"],
    *,
    level: float = 0.95,
) -> Estimate:
    """`statistic` of the weighted sums of each figure, with its percentile interval.

    Args:
      statistic: takes {name: [R] sums}, returns [R].
      figures: {name: [N] values}, one a picture.
      weights: from `resamples`.
      level: of the interval.
    """
    totals = {name: weights @ np.asarray(value, np.float64) for name, value in figures.items()}
    values = np.broadcast_to(statistic(totals), len(weights))
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(values[0]), float(low), float(high))

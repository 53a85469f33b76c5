"""Are the samples faces? How far they lie from the middle of what real coefficients look like.

Shapes, and expressions with the jaw, have a distribution of reference (the training split's): its
mean and covariance give the Mahalanobis distance of a sample, and the reference's own distances
turn that into a percentile. Samples that are faces are spread over 0 to 100 as the reference is,
with a mean of 50; an average face lies near 0, a grimace that nobody makes at 100.

Of the expression's coefficients those count that the bundle draws at all; directions in which the
reference hardly varies (below 1e-3 of the widest, in variance) are left out.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ofer_jax.arrays import Float

_NARROW = 1e-3


class Reference(NamedTuple):
    """mean [D], whitening [D, R] (to unit variance), ordered distances of the reference [N]."""

    mean: Float[np.ndarray, "D"]
    whitening: Float[np.ndarray, "D R"]
    distances: Float[np.ndarray, "N"]

    def percentile(self, values: Float[np.ndarray, "*B D"]) -> Float[np.ndarray, "*B"]:
        """0 to 100: the share of the reference that lies nearer to the middle."""
        far = np.linalg.norm((np.asarray(values, np.float64) - self.mean) @ self.whitening, axis=-1)
        return 100 * np.searchsorted(self.distances, far) / len(self.distances)


def reference(values: Float[np.ndarray, "N D"]) -> Reference:
    """Of real coefficients.

    Raises:
      ValueError: fewer than two a coefficient.
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2 * values.shape[1]:
        raise ValueError(
            f"{len(values)} faces tell no distribution of {values.shape[1]} coefficients; "
            "give a split with twice as many"
        )
    mean = values.mean(0)
    variance, directions = np.linalg.eigh(np.cov(values.T))
    wide = variance > _NARROW * variance.max()
    whitening = directions[:, wide] / np.sqrt(variance[wide])
    distances = np.sort(np.linalg.norm((values - mean) @ whitening, axis=-1))
    return Reference(mean, whitening, distances)


class Judge:
    """Percentiles of shapes and of expressions, by the coefficients of a training split."""

    def __init__(self, arrays: Mapping[str, np.ndarray], expressions: int) -> None:
        """Takes shape [N, S], expression [N, E] and jaw [N, 3]; the first `expressions` of the
        expression's coefficients count."""
        self.expressions = expressions
        self.shape = reference(np.asarray(arrays["shape"]))
        self.posed = reference(self._joined(arrays["expression"], arrays["jaw"]))

    def _joined(self, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
        parts = [np.asarray(expression)[..., : self.expressions], np.asarray(jaw)]
        return np.concatenate(parts, axis=-1)

    def __call__(
        self,
        shape: Float[np.ndarray, "*B S"],
        expression: Float[np.ndarray, "*B E"],
        jaw: Float[np.ndarray, "*B 3"],
    ) -> dict[str, Float[np.ndarray, "*B"]]:
        """{'shape', 'expression'}: percentiles."""
        return {
            "shape": self.shape.percentile(np.asarray(shape)),
            "expression": self.posed.percentile(self._joined(expression, jaw)),
        }

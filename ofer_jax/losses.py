"""Losses of the three networks.

The denoisers regress the noise (or what stands for it). The ranker is trained on a list of
candidates with their errors: listwise against softmax(-error) (Cao et al., "Learning to rank: from
pairwise approach to listwise approach", ICML 2007), as published, or against the best one alone.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import optax

from ofer_jax.arrays import Array, Bool, Float, Scalar


def denoising(
    prediction: Float[Array, "B D"],
    target: Float[Array, "B D"],
    kind: Literal["l1", "l2"] = "l1",
    weights: Float[Array, "D"] | None = None,
) -> Scalar:
    """Mean absolute ('l1', published) or squared ('l2') error over examples and coefficients.

    `weights`, for each coefficient, are brought to mean 1. Raises ValueError on another kind.
    """
    if kind not in ("l1", "l2"):
        raise ValueError(f"the loss must be 'l1' or 'l2'; got {kind!r}")
    difference = prediction - target
    error = jnp.abs(difference) if kind == "l1" else difference**2
    if weights is not None:
        error = error * (weights / jnp.mean(weights))[None]
    return jnp.mean(error)


def listwise_softmax(
    scores: Float[Array, "B K"],
    errors: Float[Array, "B K"],
    where: Bool[Array, "B K"] | None = None,
    temperature: float = 1.0,
) -> Scalar:
    """Cross-entropy of softmax(scores) against softmax(-errors / temperature), mean over pictures.

    The published errors are mean absolute vertex errors in mm, at temperature 1. Candidates that
    are False in `where` take no part.
    """
    labels = -jax.lax.stop_gradient(errors) / temperature
    if where is not None:
        lowest = jnp.finfo(scores.dtype).min
        scores, labels = (jnp.where(where, a, lowest) for a in (scores, labels))
    return jnp.mean(optax.softmax_cross_entropy(scores, jax.nn.softmax(labels)))


def best_of_list(scores: Float[Array, "B K"], errors: Float[Array, "B K"]) -> Scalar:
    """Binary cross-entropy of each score's sigmoid against being the smallest error, times 1000.

    The mean is over pictures and candidates; the factor is the published one.
    """
    labels = jax.nn.one_hot(jnp.argmin(errors, axis=1), errors.shape[1], dtype=scores.dtype)
    return 1000.0 * jnp.mean(optax.sigmoid_binary_cross_entropy(scores, labels))

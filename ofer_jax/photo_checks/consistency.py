"""Is a photograph, changed without changing its face, told from other photographs by the answers?

With f_i the answer for photograph i and g_i that for a variant of it (mirrored back, where it was
mirrored), both as vertices of the face, d the mean vertex distance after a rigid alignment:

    same = d(g_i, f_i)      other = d(g_j, f_i), j != i, of the same variant
    area under the curve = P(same < other) + P(same = other) / 2, all pairs of all variants
    spread = mean of d(f_j, f_i), j != i,  as a share of the same between held-out heads

A constant answer has an area of .5 (or, by rounding, any) and a spread of 0: read both together.

Bootstrap: photograph i is drawn w_i times; a same distance then counts w_i times, one between two
photographs w_i w_j times.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax import metrics
from ofer_jax.arrays import Float
from ofer_jax.metrics import Estimate

_BATCH = 64


def between(
    a: Float[np.ndarray, "P N 3"], b: Float[np.ndarray, "Q N 3"]
) -> Float[np.ndarray, "P Q"]:
    """Distances of all of `a` to all of `b` (mean over vertices, rigidly aligned), their unit."""
    return np.stack([_to_one(jnp.asarray(a), jnp.asarray(one)) for one in b], axis=1)


def _to_one(faces: jax.Array, one: jax.Array) -> Float[np.ndarray, "P"]:
    found = [_errors(faces[i : i + _BATCH], one) for i in range(0, len(faces), _BATCH)]
    return np.concatenate([np.asarray(part, np.float64) for part in found])


@jax.jit
def _errors(faces: jax.Array, one: jax.Array) -> jax.Array:
    return metrics.vertex_error(faces, jnp.broadcast_to(one[None], faces.shape))


def measure(
    faces: Float[np.ndarray, "P N 3"],
    changed: Mapping[str, Float[np.ndarray, "P N 3"]],
    heads: Float[np.ndarray, "H N 3"],
    *,
    seed: int = 0,
    rounds: int = 2000,
) -> dict[str, Any]:
    """The figures of the answers.

    Args:
      faces: the answer for each photograph, metres, P >= 3.
      changed: the answers for each variant; NaN where no face was found.
      heads: held-out heads, metres.
      seed, rounds: of the bootstrap over photographs.

    Returns:
      'area' and 'spread' (estimates), 'heads_mm' (mean distance between the heads), 'variants'
      {name: 'area', 'same_mm' and 'other_mm' (means), 'first' (share of variants whose own
      photograph is the nearest), 'lost'}, 'same_mm' {name: [P]} (NaN: lost).

    Raises:
      ValueError: fewer than 3 photographs.
    """
    count = len(faces)
    if count < 3:
        raise ValueError(f"consistency needs 3 photographs with a face or more, not {count}")
    weights = metrics.resamples(np.arange(count), seed=seed, rounds=rounds)
    off = ~np.eye(count, dtype=bool)
    tables = {name: 1e3 * between(answers, faces) for name, answers in changed.items()}
    plain = 1e3 * between(faces, faces)
    between_heads = 1e3 * mean_distance(heads)
    pairs = np.where(off, weights[:, :, None] * weights[:, None, :], 0.0)
    spread = (pairs * plain).sum((1, 2)) / np.maximum(pairs.sum((1, 2)), 1e-12) / between_heads
    return {
        "area": _estimate(areas(list(tables.values()), weights)),
        "spread": _estimate(spread),
        "heads_mm": between_heads,
        "variants": {name: _of_variant(table, weights) for name, table in tables.items()},
        "same_mm": {name: np.diag(table).tolist() for name, table in tables.items()},
    }


def mean_distance(faces: Float[np.ndarray, "P N 3"]) -> float:
    """Between two different ones of the faces, their unit."""
    return float(np.mean(between(faces, faces)[~np.eye(len(faces), dtype=bool)]))


def _of_variant(table: Float[np.ndarray, "P P"], weights: np.ndarray) -> dict[str, Any]:
    same, lost = np.diag(table), np.isnan(np.diag(table))
    other = table[~np.eye(len(table), dtype=bool)]
    found = table[~lost]
    return {
        "area": _estimate(areas([table], weights)),
        "same_mm": float(np.mean(same[~lost])) if len(found) else None,
        "other_mm": float(np.nanmean(other)) if len(found) else None,
        "first": float(np.mean(found.argmin(1) == np.flatnonzero(~lost))) if len(found) else None,
        "lost": int(lost.sum()),
    }


def areas(
    tables: Sequence[Float[np.ndarray, "P P"]], weights: Float[np.ndarray, "R P"]
) -> Float[np.ndarray, "R"]:
    """The area under the curve of each resample; row i, column j: variant of i to photograph j."""
    count = len(tables[0])
    rows, columns = np.nonzero(~np.eye(count, dtype=bool))
    same = np.concatenate([np.diag(table) for table in tables])
    other = np.concatenate([table[rows, columns] for table in tables])
    number = np.tile(np.arange(count), len(tables))
    first, second = np.tile(rows, len(tables)), np.tile(columns, len(tables))
    known, there = ~np.isnan(same), ~np.isnan(other)
    same, number = same[known], number[known]
    order = np.argsort(other[there], kind="stable")
    other, first, second = other[there][order], first[there][order], second[there][order]
    low, high = (np.searchsorted(other, same, side) for side in ("left", "right"))
    out = np.empty(len(weights))
    for i, weight in enumerate(weights):
        beyond = np.concatenate([[0.0], np.cumsum(weight[first] * weight[second])])
        wins = beyond[-1] - (beyond[low] + beyond[high]) / 2
        total = weight[number].sum() * beyond[-1]
        out[i] = (weight[number] * wins).sum() / total if total else np.nan
    return out


def _estimate(values: Float[np.ndarray, "R"]) -> dict[str, float]:
    """Row 0 is the value, the others its resamples."""
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return Estimate(float(values[0]), float(low), float(high))._asdict()

"""Distances of all pictures pooled: median, mean, standard deviation, root mean square.

Their 95 % intervals are bootstrapped over people (all pictures of one are drawn together), from
histograms of a thousand bins that hold about as many distances each, in which a median is
interpolated; the figures themselves are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

FIGURES = ("median", "mean", "std", "rmse")
_BINS, _SOME = 1000, 100_000
_ROUNDS = 2000
_AT_ONCE = 100


@dataclass(frozen=True)
class Pool:
    """Distances of pictures (mm), with the person of each."""

    distances: Sequence[Float[np.ndarray, "N"]]
    subjects: Sequence[str]


def figures(pool: Pool, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """{'median': {'value', 'low', 'high'}, ...} of a pool, millimetres.

    Raises:
      ValueError: there is no distance.
    """
    if not sum(map(len, pool.distances)):
        raise ValueError("no distance to pool: no vertex of a scan lies in its crop")
    every = np.concatenate(pool.distances).astype(np.float64)
    squares = float(np.mean(np.square(every)))
    values = {
        "median": float(np.median(every)),
        "mean": float(every.mean()),
        "std": float(every.std()),
        "rmse": squares**0.5,
    }
    spread = _bootstrap(pool, seed)
    return {
        name: {"value": value, "low": float(spread[name][0]), "high": float(spread[name][1])}
        for name, value in values.items()
    }


def _bootstrap(pool: Pool, seed: int) -> dict[str, np.ndarray]:
    names, member = np.unique(np.array(pool.subjects), return_inverse=True)
    edges = _edges(pool)
    counts = np.zeros((len(names), len(edges) - 1))
    sums = np.zeros((len(names), 3))  # how many, their sum, the sum of their squares
    for person, distances in zip(member, pool.distances, strict=True):
        exact = distances.astype(np.float64)
        counts[person] += np.histogram(exact, edges)[0]
        sums[person] += len(exact), exact.sum(), np.square(exact).sum()
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_ROUNDS)
    number, total, square = np.einsum("rs,sk->kr", drawn, sums)
    mean, square = total / number, square / number
    medians = [
        _medians(np.einsum("rs,sb->rb", part, counts), edges)
        for part in np.array_split(drawn, _ROUNDS // _AT_ONCE)
    ]
    found = {
        "median": np.concatenate(medians),
        "mean": mean,
        "std": np.sqrt(np.maximum(square - mean**2, 0)),
        "rmse": np.sqrt(square),
    }
    return {name: np.quantile(values, [0.025, 0.975]) for name, values in found.items()}


def _edges(pool: Pool) -> Float[np.ndarray, "E"]:
    """Of bins that hold about as many distances each."""
    every = np.concatenate(pool.distances)
    ends = [every.min(), every.max(), np.nextafter(every.max(), np.inf)]
    some = every[:: 1 + len(every) // _SOME]
    return np.unique([*ends, *np.quantile(some, np.linspace(0, 1, _BINS))]).astype(np.float64)


def _medians(
    counts: Float[np.ndarray, "R B"], edges: Float[np.ndarray, "E"]
) -> Float[np.ndarray, "R"]:
    below = np.cumsum(counts, axis=1)
    half = below[:, -1] / 2
    place = np.argmax(below >= half[:, None], axis=1)
    rows = np.arange(len(counts))
    inside = counts[rows, place]
    share = (half - below[rows, place] + inside) / np.maximum(inside, 1)
    return edges[place] + share * (edges[place + 1] - edges[place])


def text(report: Mapping[str, Any]) -> str:
    """The report as a Markdown table with a line on what it is of and the notes."""
    head = ("", *report["figures"])
    rows = [head, ("---",) * len(head)]
    for name, row in report["rows"].items():
        for challenge, cells in row.items():
            label = name if challenge == "all" else f"{name}, {challenge}"
            rows.append((label, *(_cell(cells[figure]) for figure in report["figures"])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    made = ["| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
    notes = [f"- {note}" for note in report["notes"]]
    return "\n".join([report["title"], "", *(f"{line} |" for line in made), "", *notes])


def _cell(cell: Mapping[str, float]) -> str:
    return f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"


def curve(pool: Pool, up_to: float = 7.0, steps: int = 141) -> list[tuple[float, float]]:
    """(mm, share of the distances below it) of a cumulative error curve."""
    every = np.sort(np.concatenate(pool.distances))
    at = np.linspace(0, up_to, steps)
    share = np.searchsorted(every, at, side="right") / max(len(every), 1)
    return list(zip(at.tolist(), share.tolist(), strict=True))

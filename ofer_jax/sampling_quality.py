"""Whether the samples of one sampler can be told from those of another: by face, then over faces.

A set holds K samples of D coefficients for each of F faces. With X and X' independent samples of
one set and Y, Y' of the other, their energy distance (Szekely & Rizzo 2013) is

    2 E|X - Y| - E|X - X'| - E|Y - Y'|,

which is 0 for equal distributions; without bias, so that noise makes it negative as often. The
*noise floor* is the distance of two independent sets of the reference. As the distance hardly sees
a wrong spread, that is compared apart: the ratio of the standard deviations about each face's mean,
over all coefficients and along the leading principal directions of the reference's samples.

All figures are means over faces, with 95 % intervals of a bootstrap that resamples faces.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax import metrics
from ofer_jax.arrays import Array, Float, Key
from ofer_jax.metrics import Figures
from ofer_jax.tasks import common, conditioning
from ofer_jax.tasks.common import Config, Params

MODES = 5  # leading directions
WITHIN = 0.03  # a spread ratio may be off by


def coefficients(
    config: Config,
    params: Params,
    features: conditioning.Features,
    keys: Key[Array, "B"],
    samples: int,
    sampler: Config,
) -> Float[Array, "B K D"]:
    """What the denoiser of a task draws, before the task makes shapes or expressions of it.

    Args:
      config, params: of IdGen or ExpGen.
      features: of the pictures.
      keys: one a picture.
      samples: K.
      sampler: see `common.sample_coefficients`.
    """
    context = conditioning.encode(config, params["encoder"], features)
    size = params["net"]["out_linear"]["bias"].shape[0]
    return common.sample_coefficients(config, params, context, keys, samples, size, sampler)


# ---------------------------------------------------------------- of one face


@jax.jit
def energy_distance(x: Float[Array, "K D"], y: Float[Array, "L D"]) -> Float[Array, ""]:
    """Of two sets; about 0 if they have one distribution."""
    inside = _mean_distance(x, x, len(x) - 1) + _mean_distance(y, y, len(y) - 1)
    return 2 * _mean_distance(x, y, len(y)) - inside


def _mean_distance(x: Float[Array, "K D"], y: Float[Array, "L D"], count: int) -> Array:
    """Sum of all distances over K count, some rows of x at a time."""
    of_y = jnp.sum(y * y, axis=-1)

    def row(one: Float[Array, "D"]) -> Float[Array, ""]:
        product = jnp.matmul(y, one, precision="highest")
        return jnp.sum(jnp.sqrt(jnp.maximum(of_y - 2 * product + jnp.sum(one * one), 0.0)))

    return jnp.mean(jax.lax.map(row, x, batch_size=1024)) / count


def leading(a: Float[np.ndarray, "F K D"], b: Float[np.ndarray, "F K D"]) -> np.ndarray:
    """The principal directions [D, MODES] of the deviations from the faces' means in both sets."""
    covariance = sum(np.cov(one.T) for one in (*a, *b))
    return np.linalg.eigh(covariance)[1][:, ::-1][:, :MODES]


def spreads(x: Float[np.ndarray, "F K D"], modes: Float[np.ndarray, "D M"]) -> Figures:
    """Variances of each face: 'overall', summed over coefficients, and 'mode 1' to 'mode M'."""
    along = np.var(np.asarray(x, np.float64) @ modes, axis=1, ddof=1)
    names = [f"mode {number + 1}" for number in range(modes.shape[1])]
    whole = np.var(x, axis=1, ddof=1, dtype=np.float64).sum(-1)
    return {"overall": whole, **dict(zip(names, along.T, strict=True))}


class Comparison(NamedTuple):
    """Figures of each face, of a set against two independent ones of the reference."""

    distance: Float[np.ndarray, "F"]  # of the set from both, on average
    floor: Float[np.ndarray, "F"]  # of the reference's second from its first
    variance: Figures  # as `spreads`
    reference: Figures  # the mean of both


def compare(
    x: Float[np.ndarray, "F K D"], reference: Sequence[Float[np.ndarray, "F K D"]]
) -> Comparison:
    """A set against the two of the reference."""
    first, second = reference
    modes = leading(first, second)
    both = spreads(first, modes), spreads(second, modes)
    mean = {name: (both[0][name] + both[1][name]) / 2 for name in both[0]}
    distance = (_distances(x, first) + _distances(x, second)) / 2
    return Comparison(distance, _distances(first, second), spreads(x, modes), mean)


def _distances(x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, "F"]:
    return np.array([energy_distance(one, other) for one, other in zip(x, y, strict=True)])


# ---------------------------------------------------------------- over faces


def report(found: Comparison, *, seed: int = 0, rounds: int = 2000) -> dict[str, Any]:
    """Plain JSON: 'distance', 'floor' and 'spread' {'overall', 'mode 1', ...}, each {'value',
    'low', 'high'}; and 'passes': the distance is below the upper end of the floor's interval, and
    all ratios of spread are within 3 % of 1."""
    weights = metrics.resamples(np.arange(len(found.floor)), seed=seed, rounds=rounds)

    def mean(values: np.ndarray) -> dict[str, float]:
        sums = {"all": values, "faces": np.ones(len(values))}
        return metrics.estimate(lambda s: s["all"] / s["faces"], sums, weights)._asdict()

    def ratio(name: str) -> dict[str, float]:
        pair = {"x": found.variance[name], "y": found.reference[name]}
        return metrics.estimate(lambda s: np.sqrt(s["x"] / s["y"]), pair, weights)._asdict()

    distance, floor = mean(found.distance), mean(found.floor)
    spread = {name: ratio(name) for name in found.variance}
    near = all(abs(each["value"] - 1) <= WITHIN for each in spread.values())
    passes = near and distance["value"] <= floor["high"]
    return {"distance": distance, "floor": floor, "spread": spread, "passes": bool(passes)}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Reports as Markdown; each has also 'task', 'sampler' and 'steps'."""
    names = list(rows[0]["spread"])
    head = ["task", "sampler", "steps", "distance", "noise floor", *names, "passes"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [_cell(row[name], 4) for name in ("distance", "floor")]
        cells += [_cell(row["spread"][name], 3) for name in names]
        told = [row["task"], row["sampler"], str(row["steps"])]
        lines.append([*told, *cells, "yes" if row["passes"] else "no"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Mapping[str, float], digits: int) -> str:
    return "{value:.{d}f} [{low:.{d}f}, {high:.{d}f}]".format(d=digits, **value)

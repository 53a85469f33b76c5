"""Photographs to answers, and answers to figures: what `launch.evaluate photos` does.

The answer for a picture is the mean of its samples' shapes. Every picture's samples start from the
same noise (one key, of the seed alone), so answers differ by the pictures and by nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ofer_jax import evaluate, flame, metrics, photos, reconstruct
from ofer_jax.arrays import Float
from ofer_jax.photo_checks import consistency, mirror, reprojection, variants
from ofer_jax.reconstruct import PRESENCE, Found, Reconstructor

_HEADS = 200  # drawn, where no held-out heads are given
_BATCH = 8


@dataclass(frozen=True)
class Answers:
    """What the networks say of some faces; NumPy, float32."""

    mean: Float[np.ndarray, "B S"]  # of the samples
    ranked: Float[np.ndarray, "B S"]
    expression: Float[np.ndarray, "B M E"]
    jaw: Float[np.ndarray, "B M 3"]

    def rows(self, keep: Any) -> "Answers":
        """Some of the faces."""
        return Answers(**{name: value[keep] for name, value in vars(self).items()})


Draw = Callable[[Any, Any], dict[str, jax.Array]]


def program(reconstructor: Reconstructor, samples: int, expressions: int) -> Draw:
    """What draws samples for features and keys, compiled at its first call."""
    bundle, head = reconstructor.bundle, reconstructor.head
    return evaluate.sampler(bundle, head, reconstructor.surface, samples, expressions)


def answer(draw: Draw, features: Any, seed: int) -> Answers:
    """The answers for pictures' features (or crops), all from the same noise."""
    keys = jnp.stack([jax.random.key(seed)] * _BATCH)
    count = len(jax.tree.leaves(features)[0])
    parts = []
    for start in range(0, count, _BATCH):
        rows = np.arange(start, start + _BATCH) % count  # the last batch wraps
        drawn = draw(jax.tree.map(lambda array, r=rows: jnp.asarray(array[r]), features), keys)
        parts.append(jax.device_get(_point_estimates(drawn)))
    joined = {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}
    return Answers(**joined)


@jax.jit
def _point_estimates(drawn: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    best = jnp.argmax(drawn["scores"], -1)
    ranked = jnp.take_along_axis(drawn["shapes"], best[:, None, None], axis=1)[:, 0]
    own = {name: drawn[name] for name in ("expression", "jaw")}
    return {"mean": jnp.mean(drawn["shapes"], axis=1), "ranked": ranked, **own}


def run(
    reconstructor: Reconstructor,
    pictures: Sequence[photos.Photo],
    *,
    heads: Float[np.ndarray, "H S"] | None = None,
    samples: int = 100,
    expressions: int = 15,
    seed: int = 0,
    rounds: int = 2000,
) -> dict[str, Any]:
    """The figures of a bundle on photographs (`report.table` prints them).

    Args:
      reconstructor: head and bundle.
      pictures: photographs; of each the face nearest to its centre counts.
      heads: shapes of held-out heads; left out, 200 heads drawn from the head's own distribution,
        a standard normal.
      samples, expressions: drawn for each picture.
      seed: of the samples, the drawn heads and the bootstrap.
      rounds: of the bootstrap.

    Raises:
      ValueError: fewer than three photographs show a face.
    """
    seen = _look(reconstructor, pictures)
    if len(seen.plain) < 3:
        raise ValueError(f"{len(seen.plain)} of {len(pictures)} photographs show a face; 3 needed")
    draw, sees = program(reconstructor, samples, expressions), reconstructor.sees
    plain = _answers(draw, sees, seen.plain, seed)
    changed = {name: _answers(draw, sees, found, seed) for name, found in seen.changed.items()}
    if heads is None:
        number = reconstructor.head.num_shape
        heads = np.random.default_rng(seed).normal(size=(_HEADS, number)).astype(np.float32)
    consistent = {}
    for name in ("mean", "ranked"):
        own = {kind: getattr(answers, name) for kind, answers in changed.items()}
        placed = _vertices(reconstructor, getattr(plain, name), own, heads)
        consistent[name] = consistency.measure(*placed, seed=seed, rounds=rounds)
    return {
        "photographs": [found.photo.name for found in seen.plain if found],
        "no face": seen.without,
        "presence": [found.face.presence for found in seen.plain if found],
        "heads": len(heads),
        "consistency": consistent,
        "reprojection": _reprojected(reconstructor, seen.plain, plain, seed, rounds),
    }


# ---------------------------------------------------------------- faces


@dataclass(frozen=True)
class _Seen:
    plain: list[Found]
    changed: dict[str, list[Found | None]]  # None: no face found
    without: list[str]


def _look(reconstructor: Reconstructor, pictures: Sequence[photos.Photo]) -> _Seen:
    plain, without = [], []
    changed: dict[str, list[Found | None]] = {name: [] for name in variants.NAMES}
    for photo in tqdm(pictures, desc="faces", unit="photo"):
        try:
            found = reconstructor.find(photo)[0]
        except photos.PhotoError:
            without.append(photo.name)
            continue
        plain.append(found)
        for name, image in variants.of(photo.image, found.face.box).items():
            changed[name].append(_again(reconstructor, photos.Photo(f"{photo.name} {name}", image)))
    return _Seen(plain, changed, without)


def _again(reconstructor: Reconstructor, photo: photos.Photo) -> Found | None:
    try:
        return reconstructor.find(photo)[0]
    except photos.PhotoError:
        return None


def _answers(draw: Draw, sees: str, found: Sequence[Found | None], seed: int) -> Answers:
    """One row a photograph; NaN where there is no face."""
    there = [i for i, one in enumerate(found) if one is not None]
    if not there:
        raise ValueError("no face is found any more in a whole kind of changed photographs")
    own = [one for one in found if one is not None]
    said = answer(draw, reconstruct.seen_by(own, sees), seed)
    spread = np.full(len(found), len(own))  # a row past the end, of NaN, for those without
    spread[there] = np.arange(len(own))
    padded = {
        name: np.concatenate([value, np.full_like(value[:1], np.nan)])
        for name, value in vars(said).items()
    }
    return Answers(**padded).rows(spread)


# ---------------------------------------------------------------- figures


def _vertices(
    reconstructor: Reconstructor,
    plain: np.ndarray,
    changed: Mapping[str, np.ndarray],
    heads: np.ndarray,
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """The face's vertices of all of them, the mirrored ones mirrored back."""
    head = reconstructor.head
    pairs = mirror.counterparts(head, reconstructor.surface, reconstructor.surface["region_face"])

    def whole(shapes: np.ndarray) -> np.ndarray:
        return np.asarray(flame.vertices_over(head, shape=jnp.asarray(shapes)))

    back = {
        name: mirror.mirrored(whole(shapes), pairs)
        if name == "mirrored"
        else whole(shapes)[:, pairs[0]]
        for name, shapes in changed.items()
    }
    return whole(plain)[:, pairs[0]], back, whole(heads)[:, pairs[0]]


def known(
    reconstructor: Reconstructor,
    pictures: Sequence[tuple[np.ndarray, Float[np.ndarray, "S"]]],
    *,
    samples: int = 100,
    expressions: int = 15,
    seed: int = 0,
    rounds: int = 2000,
) -> dict[str, Any]:
    """Reprojection on pictures (uint8 RGB) of heads whose shape is known, the truth among the rows:
    how far the measure itself can be trusted. 'spread' is that between the answers, as a share of
    that between these heads."""
    found, truth = [], []
    for number, (image, shape) in enumerate(tqdm(pictures, desc="held-out", unit="picture")):
        one = _again(reconstructor, photos.Photo(f"held-out picture {number}", image))
        if one is not None:
            found.append(one)
            truth.append(shape)
    draw = program(reconstructor, samples, expressions)
    answers = _answers(draw, reconstructor.sees, found, seed)
    out = _reprojected(reconstructor, found, answers, seed, rounds, np.stack(truth))
    faces, _, heads = _vertices(reconstructor, answers.mean, {}, np.stack(truth))
    spread = consistency.mean_distance(faces) / consistency.mean_distance(heads)
    return out | {"spread": spread}


def _reprojected(
    reconstructor: Reconstructor,
    found: Sequence[Found],
    answers: Answers,
    seed: int,
    rounds: int,
    truth: np.ndarray | None = None,
) -> dict[str, Any]:
    sure = np.array([one.face.presence >= PRESENCE for one in found])
    kept = [one for one, keep in zip(found, sure, strict=True) if keep]
    if not kept:
        return {"photographs": 0}
    own = answers.rows(sure)
    shapes = {"mean of the samples": own.mean, "ranked": own.ranked}
    if truth is not None:
        shapes["truth"] = truth[sure]
    points = np.stack([one.face.points for one in kept])
    percent = reprojection.errors(
        reconstructor.head, reconstructor.surface, shapes, own.expression, own.jaw, points
    )
    return summary(percent, seed=seed, rounds=rounds) | {
        "of": [one.photo.name for one in kept],
    }


def summary(
    percent: Mapping[str, Float[np.ndarray, "B"]], *, seed: int = 0, rounds: int = 2000
) -> dict[str, Any]:
    """Means of `reprojection.errors` with intervals, and their ratios to the mean face's."""
    count = len(percent["mean face"])
    weights = metrics.resamples(np.arange(count), seed=seed, rounds=rounds)
    figures = {**percent, "all": np.ones(count)}
    rows = {}
    for name in percent:
        mean = metrics.estimate(lambda s, n=name: s[n] / s["all"], figures, weights)
        ratio = metrics.estimate(lambda s, n=name: s[n] / s["mean face"], figures, weights)
        rows[name] = {"percent": mean._asdict(), "ratio": ratio._asdict()}
    each = {name: np.asarray(values).tolist() for name, values in percent.items()}
    return {"photographs": count, "rows": rows, "percent": each}

"""How near, how wide and how sure a bundle's samples are, on visible and on hidden vertices.

For each picture K shapes and K expressions are drawn and paired by number. Three kinds of face:

    whole        shape, expression and jaw as sampled: the posed face, global rotation zero
    expression   the true shape in all, so that faces differ by expression and jaw alone
    identity     the neutral face of the shape

Each sample is aligned rigidly over the face to the face of the mean coefficients, m, and so is the
truth y: by then samples and truth are moved alike. With a_k a sample's vertex:

    closest   error of the sample whose mean error over the face is least (after an alignment to
              the truth, as all errors), all: mean over the samples, mean: of m; mean face: of the
              mean head (kind expression: the true neutral head)
    spread    unbiased variance of a_k, summed over x, y, z
    miss      |m - y|^2; the sum of spread over that of miss is K / (K + 1) for true samples
    in 50, in 90   how far a coordinate of y lies in the samples' central 50 % and 90 %: among K
              samples y has one of K + 1 ranks, and rank r stands for the part from r / (K + 1) to
              (r + 1) / (K + 1), which lies in .25 to .75 (.05 to .95) wholly, in part or not at
              all; truths of the samples' own distribution do so 50 % and 90 % of the time for any K

Figures are sums over a group's vertices, so that means over pictures are means over vertices.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ofer_jax import evaluate, flame, metrics
from ofer_jax.arrays import Array, Float, Int
from ofer_jax.bundle import Bundle, check_head
from ofer_jax.evaluate import SIDES, TRUTH
from ofer_jax.flame import FlameModel
from ofer_jax.occluded_expressions import visibility
from ofer_jax.tasks.common import example_keys

KINDS = ("whole", "expression", "identity")
REGIONS = {  # of the face: the vertices nearest to these landmarks (iBUG's numbers)
    "jaw and cheeks": range(17),
    "brows and forehead": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "mouth": range(48, 68),
}
Sums = dict[str, np.ndarray]  # [pictures, groups]; 'count' is the number of vertices


class Measured(NamedTuple):
    """Sums of each picture: figures[side][kind][name] [N, G]; names of the G groups; and
    distances[side][name] [N, K], what `distance` says of each sample."""

    figures: dict[str, dict[str, Sums]]
    groups: tuple[str, ...]
    distances: dict[str, dict[str, np.ndarray]]


def measure(
    bundle: Bundle,
    model: FlameModel,
    regions: Mapping[str, Int[np.ndarray, "R"]],
    arrays: Mapping[str, Any],
    groups: Int[np.ndarray, "N R"],
    *,
    samples: int = 100,
    seed: int = 0,
    batch: int = 4,
    distance: Any = None,
) -> Measured:
    """The figures of every picture, clean and occluded, on the same groups of vertices.

    Args:
      bundle, model, regions, arrays, seed: as for `evaluate.evaluate`.
      groups: of each picture's vertices `region_face`: `visibility.groups` in the occluded picture.
      samples: K.
      batch: pictures at a time.
      distance: (shapes [B, K, S], expressions [B, K, E], jaws [B, K, 3]) -> arrays [B, K] by name;
        see `plausibility`.

    Raises:
      ValueError: another head, too few samples, groups that do not fit the split.
    """
    check_head(bundle, model)
    region = np.asarray(regions["region_face"])
    count = len(arrays["shape"])
    if samples < 2:
        raise ValueError(f"{samples} samples have no spread; at least 2")
    if groups.shape != (count, len(region)):
        raise ValueError(f"groups are {groups.shape}; the split wants {(count, len(region))}")
    face = evaluate.face_model(model, region)
    own = parts_of_face(model, region)
    draw = evaluate.sampler(bundle, model, regions, samples, samples)
    key = jax.random.key(seed)
    found: dict[str, list[Any]] = {side: [] for side in SIDES}
    for start in tqdm(range(0, count, batch), desc="expressions", unit="batch"):
        rows = np.arange(start, start + batch) % count  # the last batch wraps: one compiled shape
        keys = example_keys(key, jnp.asarray(rows))
        truth = {name: jnp.asarray(arrays[name][rows], jnp.float32) for name in TRUTH}
        weights = jnp.asarray(_weights(groups[rows], own))
        for side in SIDES:
            features = jax.tree.map(lambda a, r=rows: jnp.asarray(a[r]), arrays[f"features_{side}"])
            drawn = draw(features, keys)
            sums = jax.device_get(_figures(face, truth, drawn, weights))
            far = distance(drawn["shapes"], drawn["expression"], drawn["jaw"]) if distance else {}
            found[side].append(jax.tree.map(lambda v, n=count - start: v[:n], (sums, far)))
    joined = {
        side: jax.tree.map(lambda *values: np.concatenate(values), *parts)
        for side, parts in found.items()
    }
    names = (*visibility.GROUPS, "face", *REGIONS)
    figures, far = ({side: each[i] for side, each in joined.items()} for i in range(2))
    return Measured(figures, names, far)


def parts_of_face(model: FlameModel, region: Int[np.ndarray, "R"]) -> Int[np.ndarray, "R"]:
    """The number in `REGIONS` of each vertex of `region`: that of the nearest landmark.

    Raises:
      ValueError: a head without landmarks.
    """
    template = model.v_template[None]
    marks = np.asarray(flame.landmarks(model, template))[0]
    part = np.concatenate([np.full(len(m), i) for i, m in enumerate(REGIONS.values())])
    away = np.asarray(model.v_template)[region][:, None] - marks[None]
    return part[(away**2).sum(-1).argmin(1)]


def _weights(groups: Int[np.ndarray, "B R"], parts: Int[np.ndarray, "R"]) -> np.ndarray:
    """1 where a vertex belongs to a group: [B, G, R] float32, in the order of `Measured.groups`."""
    seen = [groups == number for number in range(len(visibility.GROUPS))]
    whole = [np.ones_like(groups, bool)]
    fixed = [np.broadcast_to(parts == number, groups.shape) for number in range(len(REGIONS))]
    return np.stack([*seen, *whole, *fixed], axis=1).astype(np.float32)


# ---------------------------------------------------------------- one batch


@jax.jit
def _figures(
    face: FlameModel, truth: dict[str, Array], drawn: dict[str, Array], weights: Array
) -> dict[str, dict[str, Float[Array, "B G"]]]:
    shape, posed = truth["shape"], {name: truth[name] for name in ("expression", "jaw")}
    shapes = drawn["shapes"]
    sampled = {name: drawn[name] for name in ("expression", "jaw")}
    repeated = jnp.broadcast_to(shape[:, None], shapes.shape)
    zero = jnp.zeros_like(shape)
    mean, mean_posed = shapes.mean(1), {name: value.mean(1) for name, value in sampled.items()}
    place = partial(_vertices, face)
    real = place(shape=shape, **posed)
    neutral = place(shape=shape)
    given = {
        "whole": (place(shape=shapes, **sampled), place(shape=mean, **mean_posed), real),
        "expression": (place(shape=repeated, **sampled), place(shape=shape, **mean_posed), real),
        "identity": (place(shape=shapes), place(shape=mean), neutral),
    }
    base = {"whole": place(shape=zero), "expression": neutral, "identity": place(shape=zero)}
    out = {}
    for kind, (samples, middle, target) in given.items():
        own = of_samples(samples, middle, target)
        own["mean face"] = _apart(metrics.rigid_align(base[kind], target), target)
        out[kind] = {n: jnp.einsum("bgr,br->bg", weights, v) for n, v in own.items()}
        out[kind]["count"] = jnp.sum(weights, axis=-1)
    return out


def _vertices(face: FlameModel, **coefficients: Array) -> Float[Array, "*B R 3"]:
    return flame.vertices_over(face, **coefficients)[..., : -face.J_regressor.shape[0], :]


def of_samples(
    samples: Float[Array, "B K R 3"], mean: Float[Array, "B R 3"], truth: Float[Array, "B R 3"]
) -> dict[str, Float[Array, "B R"]]:
    """The figures of the top at each vertex; metres, `spread` and `miss` square metres, `in 50` and
    `in 90` shares of the three coordinates."""
    on_truth = metrics.align_to(samples, truth)
    errors = _apart(on_truth, truth[:, None])
    best = jnp.argmin(jnp.mean(errors, axis=-1), axis=1)
    aligned = metrics.align_to(samples, mean)
    target = metrics.rigid_align(truth, mean)
    below = jnp.sum(aligned < target[:, None], axis=1)
    out = {
        "closest": jnp.take_along_axis(errors, best[:, None, None], axis=1)[:, 0],
        "all": jnp.mean(errors, axis=1),
        "mean": _apart(metrics.rigid_align(mean, truth), truth),
        "spread": jnp.sum(jnp.var(aligned, axis=1, ddof=1), axis=-1),
        "miss": jnp.sum(jnp.square(mean - target), axis=-1),
    }
    for share in (50, 90):
        out[f"in {share}"] = jnp.mean(_central(below, samples.shape[1], share / 100), axis=-1)
    return out


def _central(below: Int[Array, "*B"], count: int, share: float) -> Float[Array, "*B"]:
    """How much of the part that a rank among `count` samples stands for is central: 0 to 1."""
    low, high = (1 - share) / 2 * (count + 1), (1 + share) / 2 * (count + 1)
    return jnp.clip(jnp.minimum(below + 1, high) - jnp.maximum(below, low), 0.0, 1.0)


def _apart(a: Float[Array, "*B R 3"], b: Float[Array, "*B R 3"]) -> Float[Array, "*B R"]:
    return jnp.sqrt(jnp.sum(jnp.square(a - b), axis=-1))

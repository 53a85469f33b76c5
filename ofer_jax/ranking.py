"""How good the choice among N samples is, for any N: the curve behind the table's `recovered gap`.

A picture's samples are drawn once, as many as the largest N; its N are the first of them (samples
are independent, so the first are as good as any). Errors are those of the table (`evaluate`): mean
distance over the face of the neutral head after a rigid alignment, metres.

    average sample       what a random choice is expected to have; `random` is one such choice
    mean of the samples  the face of the mean coefficients: no sample, so no choice can have it
    medoid               nearest to all the others; `nearest to the mean`: to the face of the mean
    ranked               the ranker's first; `oracle`: the best
    ranked by NAME       the first by another bundle's ranker, of the very same samples
    recovered share      (average - chosen) / (average - oracle), of means over the pictures
    NDCG                 sum_r g_r / log2(1 + r) over the order r = 1 ... N, by that of the best
                         order; g = (worst error - error) / (worst error - best error)
    top-1                how often the chosen sample is the best

(Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.)
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ofer_jax import metrics
from ofer_jax.arrays import Array, Float, Int
from ofer_jax.bundle import Bundle, check_head, check_projection
from ofer_jax.evaluate import SIDES
from ofer_jax.flame import FlameModel
from ofer_jax.metrics import Figures
from ofer_jax.tasks import idgen, idrank
from ofer_jax.tasks.common import example_keys

SIZES = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
ROWS = (
    "mean face",
    "deterministic regressor",
    "average sample",
    "random",
    "mean of the samples",
    "medoid",
    "nearest to the mean",
    "ranked",
    "oracle",
)
ORDERS = ("medoid", "nearest to the mean", "ranked")  # what puts the samples in an order
RIVAL = "ranked by "  # and the name of another bundle


def measure(
    bundle: Bundle,
    model: FlameModel,
    regions: Mapping[str, Int[np.ndarray, "R"]],
    arrays: Mapping[str, Any],
    *,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
    batch: int = 2,
    against: Mapping[str, Bundle] | None = None,
) -> dict[str, dict[int, Figures]]:
    """Figures of every picture: {'clean': {N: {name: [pictures]}}, 'occluded': ...}.

    Args:
      bundle, model, regions, seed: as for `evaluate.evaluate`.
      arrays: features_clean, features_occluded, shape [P, S].
      sizes: the N, 2 or more each.
      batch: pictures at a time; a picture of 1,000 samples takes some 100 MB.
      against: by name, bundles whose rankers put the same samples in an order too; what their
        rankers read must be the features, or their leading part.

    Returns:
      The errors of `ROWS` (metres; the regressor's where the bundle has one) and of `RIVAL` + each
      name, and 'ndcg/NAME' and 'top1/NAME' for `ORDERS`, these and 'random' (its expectation).

    Raises:
      ValueError: another head, arrays that are missing, sizes below 2, a ranker of other features.
    """
    check_head(bundle, model)
    rankers = {"ranked": bundle}
    for name, other in (against or {}).items():
        _check_rival(bundle, model, name, other)
        rankers[RIVAL + name] = other
    needed = ("shape", *(f"features_{side}" for side in SIDES))
    if missing := [name for name in needed if name not in arrays]:
        raise ValueError(f"the split lacks {', '.join(missing)}")
    if not sizes or min(sizes) < 2:
        raise ValueError(f"sizes must be 2 or more each: {tuple(sizes)}")
    count = len(arrays["shape"])
    draw = _program(bundle, rankers, model, regions, tuple(sorted(set(sizes))))
    key = jax.random.key(seed)
    parts: dict[str, list[dict[int, Figures]]] = {side: [] for side in SIDES}
    for start in tqdm(range(0, count, batch), desc="ranking", unit="batch"):
        rows = np.arange(start, start + batch) % count  # the last batch wraps: one compiled shape
        keys = example_keys(key, jnp.asarray(rows))
        truth = jnp.asarray(arrays["shape"][rows], jnp.float32)
        for side in SIDES:
            features = jax.tree.map(lambda a, r=rows: jnp.asarray(a[r]), arrays[f"features_{side}"])
            found = jax.device_get(draw(features, truth, keys))
            parts[side].append(jax.tree.map(lambda v, n=count - start: v[:n], found))
    return {
        side: jax.tree.map(lambda *values: np.concatenate(values), *found)
        for side, found in parts.items()
    }


def _check_rival(bundle: Bundle, model: FlameModel, name: str, other: Bundle) -> None:
    """A narrower ranker reads the leading part of the features that a wider one does."""
    check_head(other, model, name)
    if projection := bundle.config.get("projection"):
        check_projection(other, projection)
    given, read = (str(b.task("idrank")[0]["features"]["name"]) for b in (bundle, other))
    if not f"{given}+".startswith(f"{read}+"):
        raise ValueError(
            f"bundle {name}: its ranker reads features {read!r}, with which {given!r} of the "
            "bundle that it is set against do not begin; set the one that reads less against the "
            "one that reads more"
        )


def _program(
    bundle: Bundle,
    rankers: Mapping[str, Bundle],
    model: FlameModel,
    regions: Mapping[str, Int[np.ndarray, "R"]],
    sizes: tuple[int, ...],
) -> Callable[[Any, Array, Array], dict[int, dict[str, Array]]]:
    """(features of B pictures, their shapes [B, S], keys [B]) -> figures for each size."""
    generate, params = bundle.task("idgen")
    configs = {name: each.task("idrank")[0] for name, each in rankers.items()}
    region = np.asarray(regions["region_face"])
    head = {"template": model.v_template[region], "directions": model.shapedirs[region]}
    seen = {
        name: idrank.constants(config, model, regions[idrank.region(config)])
        for name, config in configs.items()
    }

    @jax.jit
    def run(params: Any, head: Any, seen: Any, features: Any, truth: Array, keys: Array) -> Any:
        shapes = idgen.sample(generate, params["idgen"], features, keys, sizes[-1])
        target, samples = _neutral(head, truth), _neutral(head, shapes)
        errors = _error(samples, target[:, None])
        fixed = {"mean face": _error(jnp.broadcast_to(head["template"], target.shape), target)}
        if "regressor" in params["idgen"]:
            said = idgen.regress(generate, params["idgen"], features)
            fixed["deterministic regressor"] = _error(_neutral(head, said), target)
        out = {}
        for size in sizes:
            first = shapes[:, :size]
            scores = {
                name: idrank.scores(config, params[name], seen[name], first, features)
                for name, config in configs.items()
            }
            mean = _neutral(head, jnp.mean(first, axis=1))
            of_mean = {"mean of the samples": _error(mean, target)}
            choice = choices(samples[:, :size], mean, scores, errors[:, :size])
            out[size] = fixed | of_mean | choice
        return out

    every = {"idgen": params} | {name: each.params["idrank"] for name, each in rankers.items()}
    return partial(run, jax.device_put(every), head, jax.device_put(seen))


def _neutral(head: Mapping[str, Array], shape: Float[Array, "*B S"]) -> Float[Array, "*B R 3"]:
    """The face's vertices of neutral heads, which no joint turns."""
    moved = jnp.einsum("...s,rcs->...rc", shape, head["directions"], precision="highest")
    return moved + head["template"].reshape((1,) * (moved.ndim - 2) + head["template"].shape)


def _error(vertices: Float[Array, "*B R 3"], target: Float[Array, "*B R 3"]) -> Float[Array, "*B"]:
    return metrics.vertex_error(vertices, jnp.broadcast_to(target, vertices.shape))


def choices(
    samples: Float[Array, "B K R 3"],
    mean: Float[Array, "B R 3"],
    scores: Mapping[str, Float[Array, "B K"]],
    errors: Float[Array, "B K"],
) -> dict[str, Float[Array, "B"]]:
    """Errors, NDCG and top-1 of each way to choose among K samples, of their errors; `scores` are
    each ranker's."""
    aligned = metrics.align_to(samples, mean)
    to_mean = metrics.distance(aligned, jnp.broadcast_to(mean[:, None], aligned.shape))
    goodness = {
        "medoid": -metrics.to_others(aligned),
        "nearest to the mean": -to_mean,
        **scores,
    }
    best = jnp.argmin(errors, axis=1)
    out = {
        "average sample": jnp.mean(errors, axis=1),
        "random": errors[:, 0],
        "oracle": jnp.min(errors, axis=1),
        "ndcg/random": chance(errors),
        "top1/random": jnp.full(len(errors), 1 / errors.shape[1]),
    }
    for name, good in goodness.items():
        chosen = jnp.argmax(good, axis=1)
        out[name] = jnp.take_along_axis(errors, chosen[:, None], axis=1)[:, 0]
        out[f"ndcg/{name}"] = ndcg(good, errors)
        out[f"top1/{name}"] = (chosen == best).astype(errors.dtype)
    return out


def gains(errors: Float[Array, "B K"]) -> Float[Array, "B K"]:
    """0 for the worst of a list, 1 for the best; all 1 where all are alike."""
    worst, best = (f(errors, axis=1, keepdims=True) for f in (jnp.max, jnp.min))
    width = worst - best
    return jnp.where(width > 0, (worst - errors) / jnp.where(width > 0, width, 1.0), 1.0)


def _discount(count: int) -> Float[Array, "1 K"]:
    return 1 / jnp.log2(jnp.arange(count, dtype=jnp.float32) + 2)[None]


def ndcg(goodness: Float[Array, "B K"], errors: Float[Array, "B K"]) -> Float[Array, "B"]:
    """Of the order by falling `goodness`; 1 is the best order's."""
    gain, discount = gains(errors), _discount(errors.shape[1])
    order = jnp.argsort(-goodness, axis=1, stable=True)
    own = jnp.sum(jnp.take_along_axis(gain, order, axis=1) * discount, axis=1)
    return own / jnp.sum(-jnp.sort(-gain, axis=1) * discount, axis=1)


def chance(errors: Float[Array, "B K"]) -> Float[Array, "B"]:
    """NDCG that a random order is expected to have."""
    gain, discount = gains(errors), _discount(errors.shape[1])
    ideal = jnp.sum(-jnp.sort(-gain, axis=1) * discount, axis=1)
    return jnp.mean(gain, axis=1) * jnp.sum(discount) / ideal

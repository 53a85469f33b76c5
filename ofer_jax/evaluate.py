"""How good a bundle is on held-out heads: every picture's errors, clean and occluded.

Errors are the mean over the face region's vertices of the distance to the truth after a rigid
alignment on those vertices (`metrics`), in metres.

Identity: the neutral face. `mean of the samples` has the mean coefficients; `nearest to the mean`
is the sample whose vertices lie nearest to that face, `medoid` the one nearest to all the others;
`oracle` is the best of the samples, known only to who knows the truth.
Expression: the face posed by expression and jaw, global rotation zero, *the true identity in every
row*, so that the rows differ by the expression alone; `mean of the samples` has the mean
coefficients and the mean jaw rotation vector.

A picture's samples depend on the seed and its number in the split, not on the batch; the occluded
picture and its clean twin start from the same noise. `quality.py` makes the table of the errors.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ofer_jax import flame, metrics
from ofer_jax.arrays import Array, Float, Int
from ofer_jax.bundle import Bundle, check_head
from ofer_jax.flame import FlameModel
from ofer_jax.metrics import Figures
from ofer_jax.tasks import expgen, idgen, idrank
from ofer_jax.tasks.common import example_keys

SIDES = ("clean", "occluded")
TRUTH = ("shape", "expression", "jaw")


def evaluate(
    bundle: Bundle,
    model: FlameModel,
    regions: Mapping[str, Int[np.ndarray, "R"]],
    arrays: Mapping[str, Any],
    *,
    samples: int = 100,
    expressions: int = 15,
    seed: int = 0,
    batch: int = 8,
) -> dict[str, Figures]:
    """Figures of every held-out picture: {'clean': {name: [N]}, 'occluded': {name: [N]}}.

    Args:
      bundle: trained on `model`.
      model: the head.
      regions: vertex indices 'region_face' (errors) and 'region_front' (what the published ranker
        sees).
      arrays: features_clean, features_occluded (each [N, F], or a dict of crops [N, H, W, 3]),
        shape [N, S], expression [N, E], jaw [N, 3] (axis-angle, radians). Memory maps serve: only
        the rows of a batch are read.
      samples: identities drawn for each picture, K >= 2.
      expressions: drawn for each picture, M >= 1.
      seed: of the samples.
      batch: pictures at a time; memory grows with it, figures do not change.

    Returns:
      The names of `identity_figures`, and those of `expression_figures` after 'expression/'.

    Raises:
      ValueError: another head, arrays that are missing or differ in length, too few samples.
    """
    check_head(bundle, model)
    count = _check(arrays, samples, expressions)
    face = face_model(model, regions["region_face"])
    draw = sampler(bundle, model, regions, samples, expressions)
    key = jax.random.key(seed)
    parts: dict[str, list[Figures]] = {side: [] for side in SIDES}
    for start in tqdm(range(0, count, batch), desc="evaluate", unit="batch"):
        rows = np.arange(start, start + batch) % count  # the last batch wraps: one compiled shape
        keys = example_keys(key, jnp.asarray(rows))
        truth = {name: jnp.asarray(arrays[name][rows], jnp.float32) for name in TRUTH}
        for side in SIDES:
            drawn = draw(_rows(arrays[f"features_{side}"], rows), keys)
            figures = jax.device_get(_figures(face, truth, drawn))
            parts[side].append({name: v[: count - start] for name, v in figures.items()})
    return {
        side: {name: np.concatenate([p[name] for p in found]) for name in found[0]}
        for side, found in parts.items()
    }


def _rows(features: Any, rows: np.ndarray) -> Any:
    """Some pictures' features, from an array or from each of the crops."""
    return jax.tree.map(lambda array: jnp.asarray(array[rows]), features)


def _check(arrays: Mapping[str, Any], samples: int, expressions: int) -> int:
    needed = (*(f"features_{side}" for side in SIDES), *TRUTH)
    if missing := [name for name in needed if name not in arrays]:
        raise ValueError(f"the split lacks {', '.join(missing)}")
    lengths = {name: [len(a) for a in jax.tree.leaves(arrays[name])] for name in needed}
    count = lengths["shape"][0]
    if {each for found in lengths.values() for each in found} != {count} or count == 0:
        raise ValueError(f"the split's arrays must be equally long and not empty: {lengths}")
    if samples < 2 or expressions < 1:
        raise ValueError(f"samples must be at least 2 and expressions 1: {samples}, {expressions}")
    return count


# ---------------------------------------------------------------- samples


def sampler(
    bundle: Bundle,
    model: FlameModel,
    regions: Mapping[str, Int[np.ndarray, "R"]],
    samples: int,
    expressions: int,
) -> Callable[[Any, Array], dict[str, Array]]:
    """features of B pictures, keys [B] -> samples, scores, expressions and jaws; and what the
    deterministic regressor says, where the bundle has one."""
    generate, rank, express = (bundle.task(name)[0] for name in ("idgen", "idrank", "expgen"))
    seen = jax.device_put(idrank.constants(rank, model, regions[idrank.region(rank)]))

    @jax.jit
    def run(params: dict[str, Any], seen: dict[str, Array], features: Any, keys: Array) -> dict:
        shapes = idgen.sample(generate, params["idgen"], features, keys, samples)
        expression, jaw = expgen.sample(express, params["expgen"], features, keys, expressions)
        drawn = {
            "shapes": shapes,
            "scores": idrank.scores(rank, params["idrank"], seen, shapes, features),
            "expression": expression,
            "jaw": jaw,
        }
        if "regressor" in params["idgen"]:
            drawn["regressed"] = idgen.regress(generate, params["idgen"], features)
        return drawn

    return partial(run, jax.device_put(bundle.params), seen)


# ---------------------------------------------------------------- errors


def face_model(model: FlameModel, region: Int[np.ndarray, "R"]) -> FlameModel:
    """The head cut down to `region`: a model of R + J vertices, the last J of them the joints.

    The joints are linear in the coefficients as vertices are, so five more rows of each basis keep
    posing exact at a fraction of the work. Triangles and landmarks stay and mean nothing here.
    """
    regressor = model.J_regressor
    count, joints = len(region), regressor.shape[0]

    def cut(basis: Array) -> Array:
        at_joints = jnp.einsum("jv,v...->j...", regressor, basis, precision="highest")
        return jnp.concatenate([basis[region], at_joints])

    def pad(rows: Array) -> Array:
        return jnp.concatenate([rows[region], jnp.zeros((joints, *rows.shape[1:]), rows.dtype)])

    return dataclasses.replace(
        model,
        v_template=cut(model.v_template),
        shapedirs=cut(model.shapedirs),
        exprdirs=cut(model.exprdirs),
        posedirs=pad(model.posedirs),
        lbs_weights=pad(model.lbs_weights),
        J_regressor=jnp.eye(joints, count + joints, count, dtype=regressor.dtype),
    )


def _vertices(face: FlameModel, **coefficients: Float[Array, "*B n"]) -> Float[Array, "*B R 3"]:
    """The region's vertices for coefficients with any batch dimensions."""
    return flame.vertices_over(face, **coefficients)[..., : -face.J_regressor.shape[0], :]


@jax.jit
def _figures(
    face: FlameModel, truth: dict[str, Array], drawn: dict[str, Array]
) -> dict[str, Float[Array, "B"]]:
    ranked = jnp.argmax(drawn["scores"], -1)
    out = identity_figures(face, truth["shape"], drawn.get("regressed"), drawn["shapes"], ranked)
    posed = expression_figures(face, truth, drawn["expression"], drawn["jaw"])
    return out | {f"expression/{name}": value for name, value in posed.items()}


def identity_figures(
    face: FlameModel,
    shape: Float[Array, "B S"],
    regressed: Float[Array, "B S"] | None,
    shapes: Float[Array, "B K S"],
    ranked: Int[Array, "B"],
) -> dict[str, Float[Array, "B"]]:
    """Errors (metres) of each row of the table, and 'spread' and 'miss' (square metres) for the
    calibration. `face` is made by `face_model`; `ranked` numbers the sample the ranker picks;
    without `regressed` its row is left out."""
    truth = _vertices(face, shape=shape)
    samples = _vertices(face, shape=shapes)
    mean = _vertices(face, shape=jnp.mean(shapes, axis=1))
    aligned = metrics.align_to(samples, mean)
    target = jnp.broadcast_to(truth[:, None], samples.shape)
    errors = metrics.vertex_error(samples, target)
    to_mean = metrics.distance(aligned, jnp.broadcast_to(mean[:, None], aligned.shape))

    def error_of(index: Int[Array, "B"]) -> Float[Array, "B"]:
        return jnp.take_along_axis(errors, index[:, None], axis=1)[:, 0]

    mean_face = _vertices(face, shape=jnp.zeros_like(shape))
    spread = metrics.spread(aligned, mean, truth)
    figures = {
        "mean face": metrics.vertex_error(mean_face, truth),
        "average sample": jnp.mean(errors, axis=1),
        "mean of the samples": metrics.vertex_error(mean, truth),
        "medoid": error_of(metrics.medoid(aligned)),
        "nearest to the mean": error_of(jnp.argmin(to_mean, axis=1)),
        "ranked": error_of(ranked),
        "oracle": jnp.min(errors, axis=1),
        "spread": spread.spread,
        "miss": spread.miss,
    }
    if regressed is not None:
        own = _vertices(face, shape=regressed)
        figures["deterministic regressor"] = metrics.vertex_error(own, truth)
    return figures


def expression_figures(
    face: FlameModel,
    truth: dict[str, Float[Array, "B n"]],
    expression: Float[Array, "B M E"],
    jaw: Float[Array, "B M 3"],
) -> dict[str, Float[Array, "B"]]:
    """Errors (metres) of posed faces with the true identity: neutral, mean, closest of M.

    `truth` holds 'shape' [B, S], 'expression' [B, E] and 'jaw' [B, 3].
    """
    shape = truth["shape"]
    target = _vertices(face, shape=shape, expression=truth["expression"], jaw=truth["jaw"])
    repeated = jnp.broadcast_to(shape[:, None], (*jaw.shape[:2], shape.shape[1]))
    samples = _vertices(face, shape=repeated, expression=expression, jaw=jaw)
    mean = _vertices(face, shape=shape, expression=expression.mean(1), jaw=jaw.mean(1))
    errors = metrics.vertex_error(samples, jnp.broadcast_to(target[:, None], samples.shape))
    return {
        "neutral face": metrics.vertex_error(_vertices(face, shape=shape), target),
        "mean of the samples": metrics.vertex_error(mean, target),
        "closest": jnp.min(errors, axis=1),
    }

"""The chain as one pure function: features and detected points of a chunk of faces to everything.

Shapes by IdGen, put in the order of IdRank's scores, and their mean; expressions of the best by
ExpGen; vertices by the FLAME layer; pose and camera by `camera.fit` for each expression, of which
the one whose head explains the detected points best is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from ofer_jax import camera, flame, metrics
from ofer_jax.arrays import Array, Float
from ofer_jax.tasks import expgen, idgen, idrank

_KEYPOINT_PRIOR = 1e-2  # pull towards a frontal head where six rough points are all there is


def run(
    configs: Mapping[str, Any], shapes: int, expressions: int, arrays: Any, inputs: Any
) -> dict[str, Array]:
    """Features to everything, for a chunk of faces (all outputs with a leading axis B).

    Args:
        configs: of the three tasks, as in a bundle.
        shapes: K.
        expressions: M.
        arrays: head, params, rank (constants), surface.
        inputs: features [B, F] or crops (`tasks.conditioning`), key [B], points [B, 468, 2],
            keypoints [B, 6, 2], use_mesh [B].
    """
    head, params, features = arrays["head"], arrays["params"], inputs["features"]
    id_keys, exp_keys = (jax.vmap(jax.random.fold_in, (0, None))(inputs["key"], n) for n in (0, 1))
    drawn = idgen.sample(configs["idgen"], params["idgen"], features, id_keys, shapes)
    scores = idrank.scores(configs["idrank"], params["idrank"], arrays["rank"], drawn, features)
    order = jnp.argsort(-scores, axis=1, stable=True)
    ranked = jnp.take_along_axis(drawn, order[..., None], axis=1)
    expression, jaw = expgen.sample(
        configs["expgen"], params["expgen"], features, exp_keys, expressions
    )
    mean = jnp.mean(drawn, axis=1)
    out = {
        "shapes": ranked,
        "scores": jnp.take_along_axis(scores, order, axis=1),
        "vertices": flame.vertices_over(head, shape=ranked),
        "mean_shape": mean,
        "mean_vertices": flame.vertices(head, shape=mean),
        "expressions": expression,
        "jaws": jaw,
    }
    best = jnp.broadcast_to(ranked[:, :1], (*expression.shape[:2], ranked.shape[-1]))
    out["expression_vertices"] = flame.vertices_over(
        head, shape=best, expression=expression, jaw=jaw
    )
    out["spread"] = jax.vmap(spread, (0, None))(out["vertices"], arrays["surface"]["region_face"])
    return out | _pose(head, arrays["surface"], out, inputs)


def spread(vertices: Float[Array, "K V 3"], region: Array) -> Float[Array, "V"]:
    """Root mean square distance of each vertex from its mean over the K heads (metres), each head
    first aligned rigidly to the mean head over `region`, so that only the face's form counts."""
    mean = jnp.mean(vertices, axis=0, keepdims=True)
    face, target = vertices[:, region], mean[:, region]
    centre = jnp.mean(face, axis=1, keepdims=True)
    target = target - jnp.mean(target, axis=1, keepdims=True)
    turn = metrics.rotation(face - centre, jnp.broadcast_to(target, face.shape))
    aligned = jnp.einsum("kvj,kij->kvi", vertices - centre, turn, precision="highest")
    return jnp.sqrt(jnp.sum(jnp.var(aligned, axis=0), axis=-1))


def _pose(head: flame.FlameModel, surface: Any, out: Any, inputs: Any) -> dict[str, Array]:
    """Pose and camera for every expression; the head in the picture by the one that fits best."""
    lead = out["expressions"].shape[:2]
    first = jnp.broadcast_to(out["shapes"][:, :1], (*lead, out["shapes"].shape[-1]))
    roots = _roots(head, first, out["expressions"])
    points = _seen_points(head, surface, out["expression_vertices"])
    pixels = jnp.concatenate([inputs["points"], inputs["keypoints"]], axis=1)
    use_mesh = inputs["use_mesh"] & ("mesh_weight" in surface)
    weights = jnp.where(
        use_mesh[:, None],
        jnp.concatenate([surface.get("mesh_weight", jnp.zeros(468)), jnp.zeros(6)])[None],
        jnp.concatenate([jnp.zeros(468), jnp.array(camera.KEYPOINT_WEIGHTS)])[None],
    )
    prior = jnp.where(use_mesh, 0.0, _KEYPOINT_PRIOR)
    per_expression = jax.vmap(camera.fit, (0, None, None, 0, None))
    fits = jax.vmap(per_expression)(points, pixels, weights, roots, prior)
    values = jnp.concatenate([out["expressions"], out["jaws"]], axis=-1)
    typical = jnp.sum((values - jnp.mean(values, axis=1, keepdims=True)) ** 2, axis=-1)
    chosen = jnp.argmin(jnp.where(use_mesh[:, None], fits.error, typical), axis=1)

    def pick(value: Array) -> Array:
        return jax.vmap(lambda v, i: v[i])(value, chosen)

    found = jax.tree.map(pick, fits)
    posed = flame.vertices(
        head,
        shape=out["shapes"][:, 0],
        expression=pick(out["expressions"]),
        jaw=pick(out["jaws"]),
        global_rotation=found.global_rotation,
    )
    landmarks = flame.landmarks(head, posed)
    return {
        "expression": chosen,
        "global_rotation": found.global_rotation,
        "camera": found.camera,
        "camera_error": found.error,
        "posed_vertices": posed,
        "landmarks": landmarks,
        "landmarks_px": camera.project(landmarks, found.camera),
    }


def _roots(head: flame.FlameModel, shape: Array, expression: Array) -> Float[Array, "B M 3"]:
    """The joint that the global rotation turns about: it moves a little with the coefficients."""
    shaped = flame.vertices_over(head, shape=shape, expression=expression)
    return jnp.einsum("v,bmvc->bmc", head.J_regressor[0], shaped, precision="highest")


def _seen_points(
    head: flame.FlameModel, surface: Any, vertices: Float[Array, "B M V 3"]
) -> Float[Array, "B M 474 3"]:
    """FaceMesh's 468 points and the detector's six, on the heads."""
    flat = vertices.reshape(-1, *vertices.shape[2:])
    index = surface.get("mesh_faces_idx", jnp.zeros(468, jnp.int32))
    bary = surface.get("mesh_bary_coords", jnp.zeros((468, 3)))
    index = jnp.broadcast_to(index[None], (flat.shape[0], *index.shape))
    bary = jnp.broadcast_to(bary[None], (flat.shape[0], *bary.shape))
    mesh = flame.surface_points(head.faces, flat, index, bary)
    points = jnp.concatenate([mesh, camera.keypoints(flame.landmarks(head, flat))], axis=1)
    return points.reshape(*vertices.shape[:2], -1, 3)

"""Does an answer explain points of the picture that nothing was fitted to?

The detected points are FaceMesh's 468, split into two fixed halves by the parity of their numbers,
which lie all over the face in either half. Camera and pose are fitted (`camera.fit`) for each of
the picture's M expressions on the even half; the expression with the least error there is taken;
the error is the mean distance on the odd half, in percent of the distance between the outer corners
of the eyes (in space, so that a turned head is no smaller). The mean face gets the same fit and the
same choice out of the same expressions.

A point counts by its weight on the head (`surface["mesh_weight"]`), and where it is visible: where
the mean face, fitted to all points, turns it towards the camera by more than `FACING`. A detector
guesses the points behind a hand; pictures in which it is not sure of a face are left out.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax import camera, flame
from ofer_jax.arrays import Array, Float
from ofer_jax.flame import FlameModel
from ofer_jax.flame.rotations import rodrigues

FACING = 0.2  # cosine of the angle between the surface's normal and the line of sight
_EYES = (33, 263)  # outer corners
POINTS = 468
FITTED = np.arange(POINTS) % 2 == 0


def eye_distance(points: Float[np.ndarray, "B 468 3"]) -> Float[np.ndarray, "B"]:
    """Between the outer corners of the eyes, pixels."""
    return np.linalg.norm(points[:, _EYES[0]] - points[:, _EYES[1]], axis=-1)


def errors(
    head: FlameModel,
    surface: Mapping[str, np.ndarray],
    shapes: Mapping[str, Float[np.ndarray, "B S"]],
    expression: Float[np.ndarray, "B M E"],
    jaw: Float[np.ndarray, "B M 3"],
    points: Float[np.ndarray, "B 468 3"],
) -> dict[str, Float[np.ndarray, "B"]]:
    """Errors on the odd half, percent of the eye distance: of each of `shapes`, and 'mean face'.

    Args:
      head: the head model.
      surface: of it, with FaceMesh's points.
      shapes: one shape a picture, by name.
      expression, jaw: the M expressions of each picture.
      points: detected, pixels, y down.

    Raises:
      ValueError: a head on which FaceMesh's points are not known.
    """
    places = _places(head, surface)
    first = next(iter(shapes.values()))
    every = {"mean face": np.zeros_like(first), **shapes}
    weight = jnp.asarray(surface["mesh_weight"], jnp.float32)
    pixels = np.asarray(points, np.float32)[..., :2]
    out: dict[str, list[float]] = {name: [] for name in every}
    for i, unit in enumerate(eye_distance(points)):
        own = tuple(jnp.asarray(a[i], jnp.float32) for a in (expression, jaw, pixels))
        zero = jnp.zeros(first.shape[1])
        visible = _facing(head, places, zero, own, weight) > FACING
        fitted = weight * visible * FITTED
        scored = weight * visible * ~FITTED
        for name, shape in every.items():
            found = _error(head, places, jnp.asarray(shape[i], jnp.float32), own, fitted, scored)
            out[name].append(100 * float(found) / float(unit))
    return {name: np.array(values) for name, values in out.items()}


Places = dict[str, Array]  # corners [468, 3] (vertices), bary [468, 3]
Own = tuple[Array, Array, Array]  # expression [M, E], jaw [M, 3], pixels [468, 2]


def _places(head: FlameModel, surface: Mapping[str, np.ndarray]) -> Places:
    names = ("mesh_faces_idx", "mesh_bary_coords", "mesh_weight")
    if missing := [name for name in names if name not in surface]:
        raise ValueError(f"head {head.name!r}: {', '.join(missing)} unknown, so no reprojection")
    index = np.asarray(surface["mesh_faces_idx"], np.int64)
    bary = jnp.asarray(surface["mesh_bary_coords"], jnp.float32)
    return {"corners": jnp.asarray(np.asarray(head.faces)[index]), "bary": bary}


def _on_head(
    head: FlameModel, places: Places, shape: Float[Array, "S"], own: Own
) -> tuple[Array, Array, Array]:
    """Points [M, 468, 3], normals [M, 468, 3] and root joint [M, 3] for each expression."""
    expression, jaw, _ = own
    shapes = jnp.broadcast_to(shape[None], (len(jaw), len(shape)))
    vertices = flame.vertices(head, shape=shapes, expression=expression, jaw=jaw)
    shaped = flame.vertices(head, shape=shapes, expression=expression)
    root = jnp.einsum("v,mvc->mc", head.J_regressor[0], shaped, precision="highest")
    a, b, c = (vertices[:, places["corners"][:, corner]] for corner in range(3))
    normal = jnp.cross(b - a, c - a)
    normal = normal / jnp.maximum(jnp.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    corners = jnp.stack([a, b, c], axis=2)
    return jnp.sum(corners * places["bary"][None, :, :, None], axis=2), normal, root


def _fits(own: Own, points: Array, root: Array, weights: Float[Array, "468"]) -> camera.Fit:
    return jax.vmap(camera.fit, (0, None, None, 0))(points, own[2], weights, root)


def _mean_distance(distance: Array, weights: Float[Array, "468"]) -> Float[Array, "M"]:
    return jnp.sum(distance * weights[None], -1) / jnp.maximum(jnp.sum(weights), 1e-12)


@jax.jit
def _facing(
    head: FlameModel, places: Places, shape: Array, own: Own, weights: Float[Array, "468"]
) -> Float[Array, "468"]:
    """How much each point looks at the camera on the best fit to all points: a cosine."""
    points, normal, root = _on_head(head, places, shape, own)
    fits = _fits(own, points, root, weights)
    best = jnp.argmin(fits.error)
    line = rodrigues(fits.global_rotation[best][None])[0, 2]
    return jnp.einsum("nc,c->n", normal[best], line)


@jax.jit
def _error(
    head: FlameModel,
    places: Places,
    shape: Array,
    own: Own,
    fitted: Float[Array, "468"],
    scored: Float[Array, "468"],
) -> Float[Array, ""]:
    """Pixels, on the scored points, of the expression that the fitted ones choose."""
    points, _, root = _on_head(head, places, shape, own)
    fits = _fits(own, points, root, fitted)
    turn = rodrigues(fits.global_rotation)
    turned = jnp.einsum("mij,mnj->mni", turn, points - root[:, None], precision="highest")
    seen = camera.project(turned + root[:, None], fits.camera)
    distance = jnp.linalg.norm(seen - own[2][None], axis=-1)
    chosen = jnp.argmin(_mean_distance(distance, fitted))
    return _mean_distance(distance, scored)[chosen]

"""Which vertices of the true, posed face a picture shows.

    visible   turned towards the camera, and its pixel is not in the occluder's mask
    hidden    turned towards the camera, and its pixel is in the mask
    away      turned away from the camera, or outside of the picture

The mask is true wherever the occluder changed the picture: its soft edge and its shadow count as
hidden, too. That a nose hides the cheek behind it is not told apart.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax import camera, flame, render
from ofer_jax.arrays import Array, Bool, Float, Int
from ofer_jax.flame import FlameModel

GROUPS = ("visible", "hidden", "away")


def groups(
    pixels: Float[np.ndarray, "R 3"],
    normals: Float[np.ndarray, "R 3"],
    mask: Bool[np.ndarray, "H W"],
) -> Int[np.ndarray, "R"]:
    """The number in `GROUPS` of each vertex.

    Args:
      pixels: (x, y) of each vertex, y down, centres at integers; more columns do not matter.
      normals: outward; z towards the camera.
      mask: of the occluder.
    """
    x, y = (np.rint(pixels[:, i]).astype(np.int64) for i in range(2))
    height, width = mask.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    covered = mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    away = (normals[:, 2] <= 0) | ~inside
    return np.where(away, 2, np.where(covered, 1, 0)).astype(np.int8)


def of_picture(
    model: FlameModel,
    region: Int[np.ndarray, "R"],
    pose: dict[str, Float[np.ndarray, "n"]],
    view: Float[np.ndarray, "3"],
    mask: Bool[np.ndarray, "H W"],
) -> Int[np.ndarray, "R"]:
    """`groups` of the vertices `region` of a head.

    Args:
      model: the head model.
      region: vertex numbers.
      pose: coefficients and rotations by the names of `flame.vertices`, one head.
      view: camera (s, tx, ty): pixel x = s X + tx, y = -s Y + ty.
      mask: of the occluder.
    """
    given = {name: jnp.asarray(value, jnp.float32)[None] for name, value in pose.items()}
    vertices = np.asarray(_posed(model, given))[0]
    normals = render.vertex_normals(vertices, np.asarray(model.faces))
    return groups(render.project(vertices, view)[region], normals[region], mask)


@jax.jit
def _posed(model: FlameModel, given: dict[str, Array]) -> Float[Array, "1 V 3"]:
    return flame.vertices(model, **given)


def fitted(
    model: FlameModel,
    pose: dict[str, Float[np.ndarray, "n"]],
    landmarks: Float[np.ndarray, "68 2"],
) -> tuple[dict[str, Float[np.ndarray, "n"]], Float[np.ndarray, "3"]]:
    """(pose, camera) of a picture of which only the 68 landmarks (pixels) tell the camera.

    `pose` holds shape, expression and jaw; its global rotation is found, any other is dropped.
    """
    kept = ("shape", "expression", "jaw")
    given = {name: jnp.asarray(pose[name], jnp.float32)[None] for name in kept}
    found = _fit(model, given, jnp.asarray(landmarks, jnp.float32))
    own = {name: np.asarray(pose[name]) for name in kept}
    own["global_rotation"] = np.asarray(found.global_rotation)
    return own, np.asarray(found.camera)


@jax.jit
def _fit(model: FlameModel, given: dict[str, Array], landmarks: Float[Array, "68 2"]) -> camera.Fit:
    vertices = flame.vertices(model, **given)
    shaped = flame.vertices(model, shape=given["shape"], expression=given["expression"])
    root = jnp.einsum("v,vc->c", model.J_regressor[0], shaped[0], precision="highest")
    # The contour of a turned head is no fixed place of it: the 51 inner landmarks tell.
    weights = jnp.concatenate([jnp.zeros(17), jnp.ones(51)])
    return camera.fit(flame.landmarks(model, vertices)[0], landmarks, weights, root)

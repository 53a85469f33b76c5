"""The open features as one pure function of aligned chips and FaceMesh's points.

`faces.features` in JAX, its weights an argument: what differs is rounding, since the points are
laid onto the mean face in float32 and by Horn's quaternion (`metrics.rotation`), not by an SVD.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from ofer_jax import metrics, openhead
from ofer_jax.arrays import Array, Float, UInt8
from ofer_jax.faces import descriptors, embedding

_HALF = {
    "exponent_bits": 5,
    "mantissa_bits": 10,
}  # the map is kept as float16, as it is and centred


def weights() -> dict[str, Any]:
    """What `of_crops` reads: dlib's network, FaceMesh's mean face and the projection."""
    return {
        "dlib": embedding.dequantise(openhead.weights("dlib")),
        "mean_face": openhead.weights("facemesh")["canonical"].astype("float32"),
        "projection": openhead.weights("projection"),
    }


def of_crops(
    weights: dict[str, Any],
    chips: UInt8[Array, "B 150 150 3"],
    points: Float[Array, "B 468 3"],
    presence: Float[Array, "B"],
) -> Float[Array, "B F"]:
    """The features of B faces, with the whole middle map at their end.

    Args:
        weights: as `weights` makes them.
        chips: `faces.chip_150` of each.
        points: FaceMesh's, pixels of any picture, z in the same scale.
        presence: FaceMesh's, 0 to 1.
    """
    known = weights["projection"]
    identity, middle = embedding.forward(weights["dlib"], chips)
    middle = lax.reduce_precision(middle.reshape(chips.shape[0], -1), **_HALF)
    whole = (middle - known["middle_mean"][None]) / descriptors.MAP_DEVIATION
    laid, pose = _lay(points, weights["mean_face"])
    blocks = [
        (identity - known["embedding_mean"][None]) * known["embedding_scale"],
        _components(middle, known, "middle"),
        _components(laid.reshape(chips.shape[0], -1), known, "points"),
        (pose - known["pose_mean"][None]) * known["pose_scale"][None],
        2 * presence[:, None] - 1,
        lax.reduce_precision(whole, **_HALF),
    ]
    return jnp.concatenate([block.astype(jnp.float32) for block in blocks], axis=1)


def _components(values: Float[Array, "B N"], known: dict[str, Any], name: str) -> Array:
    centred = values - known[f"{name}_mean"][None]
    basis = known[f"{name}_basis"].astype(jnp.float32)
    return jnp.matmul(centred, basis, precision="highest") * known[f"{name}_scale"][None]


def _lay(points: Float[Array, "B 468 3"], target: Float[Array, "468 3"]) -> tuple[Array, Array]:
    """The points turned, scaled and moved onto the mean face, and pitch and yaw [B, 2]."""
    centred = points - jnp.mean(points, axis=1, keepdims=True)
    middle = jnp.mean(target, axis=0)[None, None]
    wanted = jnp.broadcast_to(target[None] - middle, centred.shape)
    turn = metrics.rotation(centred, wanted)
    turned = jnp.einsum("bnj,bij->bni", centred, turn, precision="highest")
    size = jnp.sum(centred * centred, axis=(1, 2), keepdims=True)
    scale = jnp.sum(turned * wanted, axis=(1, 2), keepdims=True) / jnp.maximum(size, 1e-12)
    out = -turn[:, 2]  # where the nose points, in the picture
    pose = jnp.stack([jnp.arctan2(out[:, 1], -out[:, 2]), jnp.arctan2(out[:, 0], -out[:, 2])], 1)
    return scale * turned + middle, pose

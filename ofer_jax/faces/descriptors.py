"""Photographs and faces -> the open features that condition the networks.

    [ (e - mean) scale | PCA_300(middle map) | PCA_126(points) | pitch, yaw | presence ]

e is dlib's embedding; the middle map (8 x 8 x 128) is what carries most of the identity; the
points are turned and scaled onto a mean face first (rigid Procrustes in 3D), so that their shape
is left, and pitch and yaw stand on their own. Components are whitened: unit variance over the set
that `fit_projection` saw. The projection is data: `ofer_jax/openhead/projection.npz`.

These are FEATURES numbers. MAP more follow for a network that is to see more than 300 components:
the middle map as a whole, centred, in units of about its deviation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ofer_jax import openhead
from ofer_jax.faces import align
from ofer_jax.faces.embedding import EMBEDDING, MIDDLE, SIZE, embed
from ofer_jax.faces.finder import CONFIRMED
from ofer_jax.faces.mesh import POINTS
from ofer_jax.faces.types import Face

MIDDLE_COMPONENTS = 300
POINT_COMPONENTS = 126
POSE = 2
FEATURES = EMBEDDING + MIDDLE_COMPONENTS + POINT_COMPONENTS + POSE + 1
MAP = MIDDLE[0] * MIDDLE[1] * MIDDLE[2]
MAP_DEVIATION = 0.5  # root mean square over the map, roughly
_FIT_LIMIT = 6000  # rows that the principal components of the middle map are taken from


@dataclass(frozen=True)
class RawFeatures:
    """Features of B faces before any projection (numpy)."""

    embedding: np.ndarray  # [B, 128] float32
    middle: np.ndarray  # [B, 8192] float16, the 8 x 8 x 128 map
    points: np.ndarray  # [B, 1404] float32, 468 x 3, laid onto the mean face
    pose: np.ndarray  # [B, 2] float32, pitch (down positive) and yaw (to image right), radians
    presence: np.ndarray  # [B] float32


def chip_150(image: np.ndarray, face: Face) -> np.ndarray:
    """dlib's face chip, uint8 [150, 150, 3]; by the five points where the mesh is not confirmed."""
    if face.presence >= CONFIRMED:
        return align.warp(image, align.dlib_matrix(face.points), SIZE)
    return align.warp(image, align.dlib_matrix_of_five(face.five), SIZE)


def raw_features(images: Sequence[np.ndarray], faces: Sequence[Face]) -> RawFeatures:
    """Features of one face in each picture uint8 [H, W, 3]."""
    if len(images) != len(faces):
        raise ValueError(f"{len(images)} pictures but {len(faces)} faces: one face each is needed")
    chips = [chip_150(i, f) for i, f in zip(images, faces, strict=True)]
    embedding, middle = embed(np.stack(chips) if chips else np.zeros((0, SIZE, SIZE, 3), np.uint8))
    laid = [lay_points(face.points) for face in faces]
    return RawFeatures(
        embedding=embedding.astype(np.float32),
        middle=middle.reshape(-1, int(np.prod(MIDDLE))).astype(np.float16),
        points=np.array([p.ravel() for p, _ in laid], np.float32).reshape(len(faces), 3 * POINTS),
        pose=np.array([pose for _, pose in laid], np.float32).reshape(len(faces), POSE),
        presence=np.array([face.presence for face in faces], np.float32),
    )


def lay_points(points: Float[np.ndarray, "468 3"]) -> tuple[np.ndarray, np.ndarray]:
    """The points turned, scaled and moved onto the mean face [468, 3], and pitch and yaw [2]."""
    matrix = align.umeyama(points, openhead.weights("facemesh")["canonical"])
    out = -matrix[2, :3] / np.linalg.norm(matrix[2, :3])  # where the nose points, in the picture
    pose = np.array([np.arctan2(out[1], -out[2]), np.arctan2(out[0], -out[2])])
    return align.apply(matrix, points), pose


def features(images: Sequence[np.ndarray], faces: Sequence[Face]) -> np.ndarray:
    """The open features and the whole middle map, float32 [B, FEATURES + MAP], of one face in each
    picture uint8 [H, W, 3].

    Raises ValueError while `projection.npz` has not been made (`fit_projection`).
    """
    projection = openhead.weights("projection")  # first: no picture is read in vain
    raw = raw_features(images, faces)
    whole = centred_map(raw.middle, projection).astype(np.float32)
    return np.concatenate([project(raw, projection), whole], axis=1)


def centred_map(middle: np.ndarray, projection: dict[str, np.ndarray]) -> np.ndarray:
    """Middle maps as wholes, float16 [..., MAP], centred by the projection's mean."""
    off = middle.astype(np.float32) - projection["middle_mean"]
    return (off / MAP_DEVIATION).astype(np.float16)


def project(raw: RawFeatures, projection: dict[str, np.ndarray]) -> np.ndarray:
    """Raw features -> float32 [B, FEATURES]."""
    blocks = [
        (raw.embedding - projection["embedding_mean"]) * projection["embedding_scale"],
        _components(raw.middle, projection, "middle"),
        _components(raw.points, projection, "points"),
        (raw.pose - projection["pose_mean"]) * projection["pose_scale"],
        2 * raw.presence[:, None] - 1,
    ]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _components(values: np.ndarray, projection: dict[str, np.ndarray], name: str) -> np.ndarray:
    centred = values.astype(np.float32) - projection[f"{name}_mean"]
    basis = projection[f"{name}_basis"].astype(np.float32)
    return centred @ basis * projection[f"{name}_scale"]


def fit_projection(raw: RawFeatures) -> dict[str, np.ndarray]:
    """The arrays of `projection.npz` from many faces' raw features (deterministic).

    Bases are orthonormal columns in float16, scales make each component's variance one. Raises
    ValueError for fewer faces than components.
    """
    if len(raw.presence) <= MIDDLE_COMPONENTS:
        raise ValueError(
            f"{len(raw.presence)} faces are too few for {MIDDLE_COMPONENTS} components"
        )
    mean = raw.embedding.mean(0)
    spread = np.sqrt(np.mean((raw.embedding - mean) ** 2))
    return {
        "embedding_mean": mean,
        "embedding_scale": np.array(1 / max(spread, 1e-6), np.float32),
        **_principal(raw.middle, MIDDLE_COMPONENTS, "middle"),
        **_principal(raw.points, POINT_COMPONENTS, "points"),
        "pose_mean": raw.pose.mean(0),
        "pose_scale": (1 / np.maximum(raw.pose.std(0), 1e-6)).astype(np.float32),
    }


def _principal(values: np.ndarray, count: int, name: str) -> dict[str, np.ndarray]:
    """Leading principal components by subspace iteration (Halko et al. 2011, algorithm 4.4)."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(values))[:_FIT_LIMIT]
    sample = values[np.sort(rows)].astype(np.float32)
    mean = sample.mean(0)
    sample -= mean
    width = min(count + 40, *sample.shape)
    basis = rng.standard_normal((sample.shape[1], width)).astype(np.float32)
    for _ in range(2):
        basis = np.linalg.qr(sample.T @ np.linalg.qr(sample @ basis)[0])[0]
    _, deviation, turn = np.linalg.svd(sample @ basis, full_matrices=False)
    deviation = deviation[:count] / np.sqrt(len(sample))
    floor = 1e-3 * deviation[0]  # components without variance stay small
    return {
        f"{name}_mean": mean,
        f"{name}_basis": (basis @ turn[:count].T).astype(np.float16),
        f"{name}_scale": (1 / np.maximum(deviation, floor)).astype(np.float32),
    }

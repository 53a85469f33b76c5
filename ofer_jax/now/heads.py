"""What the head in use gives to a benchmark: 7 landmarks, the mean face, what is neutral."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from ofer_jax import atomic, flame, meshes
from ofer_jax.flame import FlameModel
from ofer_jax.now.checks import Neutral
from ofer_jax.now.layout import Prediction
from ofer_jax.now.protocol import OF_51

_JAW = 0.1  # radians, about each axis


def landmarks(head: FlameModel, vertices: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "7 3"]:
    """The benchmark's 7 points of a head, in the vertices' unit."""
    if not len(head.lmk_faces_idx):
        raise ValueError(
            f"head {head.name!r} has no landmarks: put FLAME's landmark_embedding.npy beside it"
        )
    numbers = list(OF_51)
    corners = vertices[np.asarray(head.faces)[np.asarray(head.lmk_faces_idx)[numbers]]]
    return np.einsum("lk,lkc->lc", np.asarray(head.lmk_bary_coords)[numbers], corners)


def write(
    folder: str | Path, name: str, head: FlameModel, vertices: Float[np.ndarray, "V 3"]
) -> Prediction:
    """A neutral head as a prediction, metres: FOLDER/NAME.obj and .npy; the landmarks last, so that
    a pair is whole."""
    path = Path(folder) / name
    mesh, marks = (path.with_name(path.name + suffix) for suffix in (".obj", ".npy"))
    meshes.write(mesh, vertices, np.asarray(head.faces))
    with atomic.writing(marks, sync=False) as beside:
        np.save(beside, landmarks(head, vertices).astype(np.float32))
    return Prediction(mesh, marks)


def mean_face(folder: str | Path, head: FlameModel) -> Prediction:
    """The head's mean face, written as a prediction."""
    return write(folder, "mean_face", head, np.asarray(head.v_template))


def neutral(head: FlameModel) -> Neutral:
    """What `checks` compares meshes of the head's topology with."""
    template = np.asarray(head.v_template, np.float64)
    jaws = flame.vertices(head, jaw=_JAW * np.eye(3, dtype=np.float32))
    moves = (np.asarray(jaws, np.float64) - template).reshape(3, -1).T
    shapes, expressions = (
        np.asarray(basis, np.float64).reshape(template.size, -1)
        for basis in (head.shapedirs, head.exprdirs)
    )
    still = np.linalg.qr(np.concatenate([shapes, _similarities(template)], axis=1))[0]
    moving = np.concatenate([expressions, moves], axis=1)
    moving = np.linalg.qr(moving - still @ (still.T @ moving))[0]
    return Neutral(np.asarray(head.faces), template, still, moving)


def _similarities(template: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V*3 7"]:
    """The directions of growing, of turning about and of moving along each axis."""
    arm = template - template.mean(0)
    turns = [np.cross(axis, arm).ravel() for axis in np.eye(3)]
    shifts = [np.broadcast_to(axis, arm.shape).ravel() for axis in np.eye(3)]
    return np.stack([arm.ravel(), *turns, *shifts], axis=1)

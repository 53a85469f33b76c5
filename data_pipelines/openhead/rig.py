"""Joints, skinning weights and the jaw: FLAME's five joints out of MPFB2's 163 bones."""

import numpy as np

from data_pipelines.openhead.mpfb import Archive
from data_pipelines.openhead.topology import Topology, family

# Where each of FLAME's joints (root, neck, jaw, left eye, right eye) sits in the base mesh.
JOINT_GROUPS = ("joint-neck", "joint-head", "joint-mouth", "helper-l-eye", "helper-r-eye")
PARENTS = np.array([-1, 0, 1, 1, 1], np.int32)
ROOT, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(5)


def skinning(archive: Archive, topology: Topology) -> np.ndarray:
    """Weights [V, 5], rows sum to one."""
    weights, parents = archive.bone_weights(), archive.bone_parents()
    jaw = set(family(parents, "jaw"))
    neck = set(family(parents, "neck02")) - jaw
    out = np.zeros((len(topology.keep), 5))
    for bone, weight in weights.items():
        joint = JAW if bone in jaw else NECK if bone in neck else ROOT
        out[:, joint] += weight[topology.keep]
    out[:, NECK] += 0.5 * weights["neck01"][topology.keep]  # half of the lowest neck bone turns
    out[:, ROOT] -= 0.5 * weights["neck01"][topology.keep]
    for part, joint in {"l-eye": LEFT_EYE, "r-eye": RIGHT_EYE, "lower-teeth": JAW,
                        "tongue": JAW, "upper-teeth": NECK}.items():  # fmt: skip
        out[topology.parts[part]] = np.eye(5)[joint]
    out = np.maximum(out, 0)
    return out / out.sum(1, keepdims=True)


def regressor(
    heads: np.ndarray, joints: np.ndarray, topology: Topology, neighbours: int = 48
) -> np.ndarray:
    """Sparse J_regressor [5, V]: each joint as a weighted mean of skin vertices near it.

    Fitted over drawn heads [N, V, 3] with their joints [N, 5, 3] (ridge towards equal weights,
    rows sum to one). The eyes are the mean of their own vertices, exactly.
    """
    out = np.zeros((5, heads.shape[1]))
    mean = heads.mean(0)
    for joint, part in {LEFT_EYE: "l-eye", RIGHT_EYE: "r-eye"}.items():
        out[joint, topology.parts[part]] = 1 / len(topology.parts[part])
    skin = topology.parts["skin"]
    for joint in (ROOT, NECK, JAW):
        distance = np.linalg.norm(mean[skin] - joints[:, joint].mean(0), axis=1)
        near = skin[np.argsort(distance, kind="stable")[:neighbours]]
        near = np.unique(np.concatenate([near, topology.mirror[near]]))
        out[joint, near] = _affine_weights(heads[:, near], joints[:, joint])
    return out


def _affine_weights(points: np.ndarray, targets: np.ndarray, ridge: float = 1e-4) -> np.ndarray:
    """w with sum 1 that minimises sum |w . points - target|^2 + ridge |w - 1/n|^2."""
    n = points.shape[1]
    a = points.transpose(0, 2, 1).reshape(-1, n)
    b = targets.reshape(-1)
    start = np.full(n, 1 / n)
    basis = np.linalg.svd(np.ones((1, n)))[2][1:].T  # directions that keep the sum
    ab = a @ basis
    step = np.linalg.solve(ab.T @ ab + ridge * len(b) * np.eye(n - 1) * np.square(points).mean(),
                           ab.T @ (b - a @ start))  # fmt: skip
    return start + basis @ step


def jaw_opening(
    mean: np.ndarray, weights: np.ndarray, joint: np.ndarray, sculpted: np.ndarray
) -> tuple[float, np.ndarray]:
    """The jaw angle (radians about +x) that best matches the sculpted open jaw, and the pose
    correctives [V, 3, 36] that make up the rest at that angle.

    posedirs multiply R - I of joints 1..4, row-major: columns 9..17 are the jaw's, of which a
    turn about x has -sin at [1, 2] and +sin at [2, 1].
    """
    w = weights[:, JAW : JAW + 1]

    def turned(angle: float) -> np.ndarray:
        return w * ((mean - joint) @ (about_x(angle) - np.eye(3)).T)

    angles = np.deg2rad(np.arange(2.0, 45.0, 0.25))
    chin = w[:, 0] > 0.8
    misses = [np.square(turned(a) - sculpted)[chin].sum() for a in angles]
    angle = float(angles[int(np.argmin(misses))])
    # The corrective is added before skinning, which then turns it by the blended rotation.
    blend = np.eye(3) + w[..., None] * (about_x(angle) - np.eye(3))
    rest = np.linalg.solve(blend, (sculpted - turned(angle))[..., None])[..., 0]
    posedirs = np.zeros((len(mean), 3, 36))
    posedirs[:, :, 9 + 5] = -rest / (2 * np.sin(angle))
    posedirs[:, :, 9 + 7] = rest / (2 * np.sin(angle))
    return angle, posedirs


def about_x(angle: float) -> np.ndarray:
    """Rotation matrix about +x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])

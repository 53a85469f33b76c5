"""Head pose and weak-perspective camera from points seen in a picture.

Given points p_i of the head (metres) and where they were seen, q_i (pixels, with y turned up),
find scale s, rotation R and translation t minimising

    sum_i w_i rho(|s (R p_i)_xy + t - q_i| / sigma),    rho(u) = u^2 / (1 + u^2)

(Geman-McClure, so that points on a hand or a mask lose their vote). Start: the affine camera
A p + b, linear in its eight numbers, fitted by iteratively reweighted least squares to the sum of
distances; its 2 x 3 matrix is brought to the nearest s [r1; r2] by the polar decomposition
(scaled orthography: Poelman and Kanade, PAMI 1997). Then Gauss-Newton on (R, log s, t), with R
updated by exp(omega) R and sigma taken from the median distance of each round.

Convention of the result (as everywhere): with (X, Y, Z) the vertices posed by `global_rotation`,
which turns them about the head's root joint, pixel x = s X + tx and pixel y = -s Y + ty.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float, Scalar
from ofer_jax.flame.rotations import matrix_to_axis_angle, rodrigues

_AFFINE_ROUNDS, _ROUNDS = 8, 20
_SIGMA_FLOOR = 0.01  # of the points' spread: below it every point is an inlier
_PRECISION = "highest"

# The detector's six points among the 68 landmarks (each the mean of a group), and their weights:
# its ears lie a little behind the ends of the jaw line.
_KEYPOINT_GROUPS = (range(36, 42), range(42, 48), (30,), range(48, 68), (0,), (16,))
KEYPOINT_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 0.3, 0.3)


class Fit(NamedTuple):
    """camera (s, tx, ty) in px/metre and px; global_rotation axis-angle; error mean distance px."""

    camera: Float[Array, "3"]
    global_rotation: Float[Array, "3"]
    error: Scalar


@jax.jit
def fit(
    points: Float[Array, "N 3"],
    pixels: Float[Array, "N 2"],
    weights: Float[Array, "N"],
    root: Float[Array, "3"],
    prior: float | Scalar = 0.0,
) -> Fit:
    """Fits pose and camera to one head.

    Args:
        points: places on the unposed head, metres.
        pixels: where each was seen, pixels, y down.
        weights: 0 leaves a point out; at least four others, not all in one plane.
        root: the joint that `global_rotation` turns about, metres.
        prior: pull of the rotation towards a frontal head, for few and rough points.

    Returns:
        `Fit`; `error` is the weighted mean distance in pixels, of all points; infinite (with a
        frontal head) where the points determine no camera.
    """
    target = pixels * jnp.array([[1.0, -1.0]])
    share = (weights / jnp.sum(weights))[:, None]
    p0, q0 = jnp.sum(share * points, 0), jnp.sum(share * target, 0)
    p, q = points - p0[None], target - q0[None]
    p_unit = jnp.sqrt(jnp.sum(share * p * p) + 1e-20)
    q_unit = jnp.sqrt(jnp.sum(share * q * q) + 1e-20)
    p, q = p / p_unit, q / q_unit
    state = _gauss_newton(p, q, share[:, 0], _affine_start(p, q, share[:, 0]), prior)
    scale, turn, shift = state
    distance = jnp.linalg.norm(_project(state, p) - q, axis=1) * q_unit
    scale = scale * q_unit / p_unit
    # pixels = s R p + b; the posed head is R (p - root) + root
    b = q0 + shift * q_unit - scale * _turned(turn, p0)[:2]
    b = b + scale * (_turned(turn, root) - root)[:2]
    camera = jnp.stack([scale, b[0], -b[1]])
    found = Fit(camera, matrix_to_axis_angle(turn), jnp.sum(share[:, 0] * distance))
    sound = jnp.isfinite(jnp.concatenate([*found[:2], found.error[None]])).all() & (scale > 0)
    return jax.tree.map(lambda a, b: jnp.where(sound, a, b), found, _frontal(q0, q_unit))


def _frontal(centre: Float[Array, "2"], spread: Scalar) -> Fit:
    """What stands in for a fit that points in one place, or of no weight, do not determine."""
    camera = jnp.nan_to_num(jnp.stack([spread / 0.06, centre[0], -centre[1]]))
    return Fit(camera, jnp.zeros(3), jnp.array(jnp.inf))


def project(
    vertices: Float[Array, "*B N 3"], camera: Float[Array, "*B 3"]
) -> Float[Array, "*B N 2"]:
    """Posed points (metres) to pixels, x right and y down."""
    scale, shift = camera[..., None, :1], camera[..., None, 1:]
    flip = jnp.array([1.0, -1.0]).reshape((1,) * (vertices.ndim - 1) + (2,))
    return vertices[..., :2] * flip * scale + shift


def keypoints(landmarks: Float[Array, "*B 68 3"]) -> Float[Array, "*B 6 3"]:
    """The detector's points: right eye, left eye, nose, mouth, right ear, left ear (subject's)."""
    groups = [jnp.mean(landmarks[..., jnp.array(g), :], axis=-2) for g in _KEYPOINT_GROUPS]
    return jnp.stack(groups, axis=-2)


def _affine_start(p: Float[Array, "N 3"], q: Float[Array, "N 2"], w: Float[Array, "N"]):
    """(scale, rotation, translation) from the robust affine fit."""
    rows = jnp.concatenate([p, jnp.ones_like(p[:, :1])], axis=1)

    def solve(votes: Float[Array, "N"]) -> Float[Array, "4 2"]:
        left = jnp.matmul(rows.T * votes[None], rows, precision=_PRECISION)
        right = jnp.matmul(rows.T * votes[None], q, precision=_PRECISION)
        return jnp.linalg.solve(left + 1e-7 * jnp.eye(4), right)

    def step(votes, _):
        distance = jnp.linalg.norm(jnp.matmul(rows, solve(votes)) - q, axis=1)
        votes = w / jnp.maximum(distance, 1e-3)
        return votes / jnp.sum(votes), None

    votes, _ = jax.lax.scan(step, w, None, length=_AFFINE_ROUNDS)
    affine = solve(votes)
    scale, turn = _nearest_rotation(affine[:3].T)
    return scale, turn, affine[3]


def _nearest_rotation(a: Float[Array, "2 3"]) -> tuple[Scalar, Float[Array, "3 3"]]:
    """A ~ s [r1; r2]: with P = (A A^T)^(1/2), [r1; r2] = P^-1 A and s = trace(P) / 2.

    The root of a 2 x 2 matrix M is (M + sqrt(det M) I) / sqrt(trace M + 2 sqrt(det M)).
    """
    square = jnp.matmul(a, a.T, precision=_PRECISION) + 1e-8 * jnp.eye(2)
    root_det = jnp.sqrt(jnp.maximum(jnp.linalg.det(square), 1e-16))
    root = (square + root_det * jnp.eye(2)) / jnp.sqrt(jnp.trace(square) + 2 * root_det)
    rows = jnp.linalg.solve(root, a)
    rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
    return jnp.trace(root) / 2, jnp.stack([rows[0], rows[1], jnp.cross(rows[0], rows[1])])


def _gauss_newton(
    p: Float[Array, "N 3"], q: Float[Array, "N 2"], w: Float[Array, "N"], start, prior
):
    def step(state, _):
        scale, turn, shift = state
        residual = _project(state, p) - q
        distance = jnp.linalg.norm(residual, axis=1)
        median = jnp.nanmedian(jnp.where(w > 0, distance, jnp.nan))
        u = distance / jnp.maximum(2.0 * 1.48 * median, _SIGMA_FLOOR)
        votes = w / (1.0 + u * u) ** 2  # rho'(u) / u
        votes = votes / jnp.sum(votes)
        jacobian = _jacobian(scale * jnp.matmul(p, turn.T, precision=_PRECISION))
        weighted = jacobian * votes[:, None, None]
        hessian = jnp.einsum("nia,nib->ab", weighted, jacobian, precision=_PRECISION)
        gradient = jnp.einsum("nia,ni->a", weighted, residual, precision=_PRECISION)
        pull = jnp.concatenate([matrix_to_axis_angle(turn), jnp.zeros(3)])
        ridge = jnp.concatenate([jnp.broadcast_to(prior, (3,)), jnp.zeros(3)])
        hessian = hessian + jnp.diag(ridge + 1e-6)
        update = -jnp.linalg.solve(hessian, gradient + ridge * pull)
        turn = jnp.matmul(rodrigues(update[:3]), turn, precision=_PRECISION)
        return (scale * jnp.exp(jnp.clip(update[3], -1.0, 1.0)), turn, shift + update[4:]), None

    state, _ = jax.lax.scan(step, start, None, length=_ROUNDS)
    return state


def _jacobian(x: Float[Array, "N 3"]) -> Float[Array, "N 2 6"]:
    """Of s (exp(omega) R p)_xy + t with respect to (omega, log s, t), x = s R p."""
    zero, one = jnp.zeros_like(x[:, 0]), jnp.ones_like(x[:, 0])
    first = jnp.stack([zero, x[:, 2], -x[:, 1], x[:, 0], one, zero], axis=1)
    second = jnp.stack([-x[:, 2], zero, x[:, 0], x[:, 1], zero, one], axis=1)
    return jnp.stack([first, second], axis=1)


def _project(state, p: Float[Array, "N 3"]) -> Float[Array, "N 2"]:
    scale, turn, shift = state
    return scale * jnp.matmul(p, turn[:2].T, precision=_PRECISION) + shift[None]


def _turned(turn: Float[Array, "3 3"], point: Float[Array, "3"]) -> Float[Array, "3"]:
    return jnp.matmul(turn, point, precision=_PRECISION)

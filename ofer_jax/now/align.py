"""A predicted face laid onto a scan: by landmarks, then by least squares over the surface.

With the similarity y = s R c + t of a place c on the predicted surface, the fit minimises

    E = 1/2 sum_n |x_n - y_n|^2,   y_n the moved surface's nearest place to the scan's vertex x_n

over s, R, t (without s in the metrical case). The gradient is exact: -sum J^T (x - y), with
J = [y - m, rotation about m, translation] and m a fixed centre. While x moves a little against the
surface, its term has the Hessian P = n n^T on a triangle's plane (normal n), 1 - e e^T on an edge
(direction e) and 1 at a corner, so that sum J^T P J makes the first Newton step. It knows nothing
of how the surface bends from triangle to triangle; that is learnt from the gradients on the way
(BFGS). Most of the way is gone with some of the vertices, evenly spread, only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from ofer_jax.now.surface import EDGE, PLANE, Closest, Near, Surface

# Vertices; the share of the sum that a last step gains; the way still to go, in surface sizes.
_LEVELS = [(2_000, 1e-4, 0.0), (10_000, 1e-6, 4e-4), (10**9, 1e-7, 2e-4)]
_STEPS = 60


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + shift."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, "3"]

    def __call__(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """The points moved."""
        return self.scale * _turned(points, self.rotation) + self.shift

    def back(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """The points moved back."""
        return _turned(points - self.shift, self.rotation.T) / self.scale


def procrustes(
    source: Float[np.ndarray, "*B N 3"],
    target: Float[np.ndarray, "*B N 3"],
    *,
    scale: bool = True,
    mirror: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scale, rotation, shift) of the similarity that lays `source` nearest to `target`, point onto
    point; with `mirror` its best mirror image instead. Leading axes are cases of their own.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 1991.
    """
    a, b = source.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    u, values, vt = np.linalg.svd(np.swapaxes(target - b, -1, -2) @ (source - a))
    sign = np.sign(np.linalg.det(u @ vt)) * (-1 if mirror else 1)
    flips = np.stack([np.ones_like(sign), np.ones_like(sign), sign], axis=-1)
    rotation = (u * flips[..., None, :]) @ vt
    ratio = (values * flips).sum(-1) / np.square(source - a).sum((-1, -2))
    size = ratio if scale else np.ones_like(ratio)
    shift = b[..., 0, :] - size[..., None] * (rotation @ a[..., 0, :, None])[..., 0]
    return size, rotation, shift


def by_landmarks(
    source: Float[np.ndarray, "L 3"], target: Float[np.ndarray, "L 3"], *, metrical: bool
) -> Similarity:
    """The start of the fit."""
    scale, rotation, shift = procrustes(source, target, scale=not metrical)
    return Similarity(float(scale), rotation, shift)


def fit(
    surface: Surface, points: Float[np.ndarray, "N 3"], start: Similarity, *, metrical: bool
) -> tuple[Similarity, Float[np.ndarray, "N"]]:
    """The predicted surface laid onto the scan's vertices.

    Args:
      surface: the prediction.
      points: of the scan, whose unit the distances have.
      start: from landmarks.
      metrical: leave the start's scale as it is.

    Returns:
      The similarity at the minimum, and each point's distance there.
    """
    order = KDTree(points).indices  # neighbours together: every n-th is an even choice
    at, hessian, place = start, None, None
    for count, settled, margin in [v for v in _LEVELS[:-1] if v[0] < len(points)] + _LEVELS[-1:]:
        some = points[order[:: -(-len(points) // count)]]
        problem = _Problem(surface, some, points.mean(0), metrical, margin * surface.size)
        at, place, hessian = _descend(problem, at, settled, hessian)
    assert place is not None
    distance = np.empty(len(points))
    distance[order] = at.scale * place.distance
    return at, distance


class _Problem:
    """The sum of squares at similarities that are ever nearer to each other.

    A step is 7 lengths (6 in the metrical case): scale and rotation, both times `reach`, and shift.
    Slope and Hessian are a vertex's, on average.
    """

    def __init__(
        self,
        surface: Surface,
        points: np.ndarray,
        centre: np.ndarray,
        metrical: bool,
        margin: float,
    ) -> None:
        self._surface, self._points, self._centre = surface, points, centre
        self._first, self._margin = (1 if metrical else 0), margin
        self._reach = float(np.sqrt(np.square(points - centre).sum(1).mean()))
        self.rounding = len(points) * (1e-11 * self._reach) ** 2  # squared: nothing is left
        self._near: Near | None = None
        self._from = points

    def closest(self, at: Similarity) -> Closest:
        points = at.back(self._points)
        moved = float(np.linalg.norm(points - self._from, axis=1).max())
        if self._near is None or moved > self._near.margin:
            margin = self._margin if self._near is None else moved / 2
            self._near, self._from = self._surface.near(points, margin), points
        return self._surface.closest(points, self._near)

    def descent(self, found: Closest, at: Similarity) -> np.ndarray:
        """The gradient with its sign turned."""
        y = at(found.place)
        gap, arm = self._points - y, (y - self._centre) / self._reach
        parts = [[np.sum(gap * arm)], np.cross(arm, gap).sum(0), gap.sum(0)]
        return np.concatenate(parts)[self._first :] / len(y)

    def newton(self, found: Closest, at: Similarity) -> np.ndarray:
        """sum J^T P J."""
        arm = (at(found.place) - self._centre) / self._reach
        direction, loose = _turned(found.direction, at.rotation), found.kind >= EDGE
        matrix = self._products(direction[found.kind == PLANE], arm[found.kind == PLANE])
        for axis in np.eye(3):
            matrix += self._products(np.broadcast_to(axis, (loose.sum(), 3)), arm[loose])
        matrix -= self._products(direction[found.kind == EDGE], arm[found.kind == EDGE])
        return matrix / len(arm)

    def moved(self, at: Similarity, step: np.ndarray) -> Similarity:
        factor = float(np.exp(step[0] / self._reach)) if len(step) == 7 else 1.0
        turn = factor * Rotation.from_rotvec(step[-6:-3] / self._reach).as_matrix()
        shift = turn @ (at.shift - self._centre) + self._centre + step[-3:]
        return Similarity(at.scale * factor, turn / factor @ at.rotation, shift)

    def _products(self, direction: np.ndarray, arm: np.ndarray) -> np.ndarray:
        along = np.einsum("ni,ni->n", direction, arm)[:, None]
        rows = np.concatenate([along, np.cross(arm, direction), direction], axis=1)
        return np.einsum("ni,nj->ij", rows, rows)[self._first :, self._first :]


def _descend(
    problem: _Problem, at: Similarity, settled: float, hessian: np.ndarray | None
) -> tuple[Similarity, Closest, np.ndarray]:
    """Quasi-Newton steps until two change less than the share `settled` of the sum.

    Returns the similarity, the nearest places there, and the Hessian as it was learnt.
    """
    here = problem.closest(at)
    total, slope = _squares(here, at), problem.descent(here, at)
    if hessian is None:
        hessian = problem.newton(here, at)
    part, quiet = 1.0, 0
    for _ in range(_STEPS):
        step = part * _solve(hessian, slope)
        moved = problem.moved(at, step)
        there = problem.closest(moved)
        after, slope_there = _squares(there, moved), problem.descent(there, moved)
        hessian = _learnt(hessian, step, slope - slope_there)
        gained = total - after
        if gained > 0:
            at, here, total, slope = moved, there, after, slope_there
        part = min(1.0, 2 * part) if gained > 0 else part / 2
        quiet = quiet + 1 if abs(gained) <= settled * max(total, after) else 0
        if quiet == 2 or total <= problem.rounding:
            break
    return at, here, hessian


def _solve(hessian: np.ndarray, slope: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(hessian)
    held = values > 1e-9 * values[-1]  # a sphere may turn as it likes
    return vectors @ (held * (slope @ vectors) / np.where(held, values, 1.0))


def _learnt(hessian: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The BFGS update: the Hessian that gives this change of slope along this step."""
    if change @ step <= 1e-9 * (step @ hessian @ step):
        return hessian
    seen = hessian @ step
    old = np.outer(seen, seen) / (step @ seen)
    return hessian + np.outer(change, change) / (change @ step) - old


def _turned(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """`points @ rotation.T`, by one thread: waking others takes longer than the sums."""
    return np.einsum("nj,ij->ni", points, rotation)


def _squares(found: Closest, at: Similarity) -> float:
    return float(at.scale**2 * np.square(found.distance).sum())

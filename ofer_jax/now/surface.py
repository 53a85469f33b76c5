"""Exact distances from points to a triangle mesh, for many points at once.

Triangles are cut into pieces of like size, and a piece lies within the sphere about its centroid
that reaches its farthest corner (radius r). If some triangle is at distance d of a point, only
pieces with |point - centroid| <= d + r can be nearer. A tree gives the k nearest centroids, which
is enough as soon as the k-th is farther than d + the largest r; for points where it is not, k
grows. The answer is that of comparing with every triangle.

`near` keeps, for each point, all triangles that can be nearest to it wherever it moves within a
`margin`: a fit that takes small steps asks the tree once. Float64; any unit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

PLANE, EDGE, CORNER = 0, 1, 2
_POINTS = 1 << 9  # points at a time
_PAIRS = 1 << 15  # point-triangle pairs at a time: their arrays stay in the cache
_CUTS = 5  # how often a large triangle is cut into four

Vectors = Float[np.ndarray, "N 3"]
Numbers = Float[np.ndarray, "N"]


@dataclass(frozen=True)
class Closest:
    """The nearest place of a surface to each point.

    `kind` tells what the place does while the point moves a little: on a triangle's PLANE it slides
    in the plane, on an EDGE along it, at a CORNER it stays. `direction` is the plane's unit normal
    or the edge's unit direction (zeros at a corner).
    """

    place: Float[np.ndarray, "N 3"]
    distance: Float[np.ndarray, "N"]
    kind: Int[np.ndarray, "N"]
    direction: Float[np.ndarray, "N 3"]


@dataclass(frozen=True)
class Near:
    """Pairs (point, triangle) sorted by point; every point has at least one."""

    point: Int[np.ndarray, "P"]
    triangle: Int[np.ndarray, "P"]
    margin: float


class Surface:
    """A mesh to measure distances to."""

    def __init__(
        self, vertices: Float[np.ndarray, "V 3"], triangles: Int[np.ndarray, "F 3"]
    ) -> None:
        """Takes a mesh (any unit); triangles without area count as the lines that they are."""
        corners = np.asarray(vertices, np.float64)[triangles]
        self._a = corners[:, 0]
        self._ab, self._ac = corners[:, 1] - self._a, corners[:, 2] - self._a
        dots = [(self._ab, self._ab), (self._ab, self._ac), (self._ac, self._ac)]
        self._squares = np.stack([_dot(*pair) for pair in dots], axis=1)
        self.size = float(np.linalg.norm(np.ptp(corners, axis=(0, 1))))
        # A square of a distance is right to some 1e-16 of a triangle's, so a small distance is not.
        self._rounding = 1e-7 * float(np.sqrt(self._squares.max())) + 1e-12 * self.size
        self._owner, self._centre, self._radius = _pieces(corners)
        self._tree, self._largest = KDTree(self._centre), float(self._radius.max())
        self._normal = _unit(np.cross(self._ab, self._ac))

    def closest(self, points: Float[np.ndarray, "N 3"], near: Near | None = None) -> Closest:
        """The nearest place to each point; with `near`, of points at most its margin from there."""
        near = near or self.near(points)
        triangle, v, w = (np.empty(len(points), dtype) for dtype in (np.int64, float, float))
        for part in _parts(near.point):
            point, candidates = near.point[part], near.triangle[part]
            square, *place = self._project(points[point], candidates)
            starts = _starts(point)
            least = np.minimum.reduceat(square, starts)
            hits = np.flatnonzero(square == np.repeat(least, np.diff(starts, append=len(point))))
            first = hits[_starts(point[hits])]
            rows = point[first]
            triangle[rows], v[rows], w[rows] = candidates[first], place[0][first], place[1][first]
        return self._answer(points, triangle, v, w)

    def near(self, points: Float[np.ndarray, "N 3"], margin: float = 0.0) -> Near:
        """All triangles that can be nearest to points within `margin` of these."""
        found = [self._near(points, part, margin) for part in _ranges(len(points))]
        point, triangle = (np.concatenate(each) for each in zip(*found, strict=True))
        return Near(point, triangle, margin)

    def _near(
        self, points: np.ndarray, rows: np.ndarray, margin: float
    ) -> tuple[np.ndarray, np.ndarray]:
        first = self._tree.query(points[rows], k=[1, 2])[1] % len(self._owner)  # there may be one
        some = [self._project(points[rows], self._owner[piece])[0] for piece in first.T]
        reach = np.sqrt(np.minimum(*some)) * (1 + 1e-9) + self._rounding + 2 * margin
        balls = self._tree.query_ball_point(points[rows], reach + self._largest)
        counts = np.fromiter(map(len, balls), np.int64, len(balls))
        piece = np.fromiter(itertools.chain.from_iterable(balls), np.int64, counts.sum())
        line = np.repeat(np.arange(len(rows)), counts)
        offset = points[rows][line] - self._centre[piece]
        height = _dot(offset, self._normal[self._owner[piece]])
        beside = np.sqrt(np.maximum(_dot(offset, offset) - height**2, 0.0)) - self._radius[piece]
        kept = height**2 + np.maximum(beside, 0.0) ** 2 <= reach[line] ** 2
        return self._pruned(points, rows[line[kept]], self._owner[piece[kept]], margin)

    def _pruned(
        self, points: np.ndarray, point: np.ndarray, triangle: np.ndarray, margin: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The pairs less those that the triangles' own distances rule out."""
        kept = []
        for part in _parts(point):
            rows = point[part]
            away = np.sqrt(self._project(points[rows], triangle[part])[0])
            starts = _starts(rows)
            least = np.minimum.reduceat(away, starts)
            reach = least * (1 + 1e-9) + self._rounding + 2 * margin
            kept.append(away <= np.repeat(reach, np.diff(starts, append=len(rows))))
        keep = np.concatenate([*kept, np.zeros(0, bool)])
        return point[keep], triangle[keep]

    def _project(
        self, points: Float[np.ndarray, "P 3"], triangle: Int[np.ndarray, "P"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(squared distance, v, w): the nearest place of the pair's triangle is a + v ab + w ac."""
        offset = points - self._a[triangle]
        along_b, along_c = _dot(offset, self._ab[triangle]), _dot(offset, self._ac[triangle])
        bb, bc, cc = self._squares[triangle].T
        area = bb * cc - bc * bc
        v, w = cc * along_b - bc * along_c, bb * along_c - bc * along_b
        inside = (v >= 0) & (w >= 0) & (v + w <= area) & (area > 1e-14 * bb * cc)
        safe = np.where(inside, area, 1.0)
        v, w = np.where(inside, v / safe, 0.0), np.where(inside, w / safe, 0.0)
        out = np.flatnonzero(~inside)
        v[out], w[out] = _on_edges(along_b[out], along_c[out], bb[out], bc[out], cc[out])
        square = _dot(offset, offset) + _change(v, w, along_b, along_c, bb, bc, cc)
        return np.maximum(square, 0.0), v, w

    def _answer(
        self, points: np.ndarray, triangle: np.ndarray, v: np.ndarray, w: np.ndarray
    ) -> Closest:
        ab, ac = self._ab[triangle], self._ac[triangle]
        place = self._a[triangle] + v[:, None] * ab + w[:, None] * ac
        zeros = (v == 0).astype(int) + (w == 0) + (v + w == 1)
        edge = np.where((v == 0)[:, None], ac, np.where((w == 0)[:, None], ab, ac - ab))
        direction = (
            np.where((zeros == 0)[:, None], self._normal[triangle], edge) * (zeros < 2)[:, None]
        )
        distance = np.linalg.norm(points - place, axis=1)
        return Closest(place, distance, np.minimum(zeros, CORNER), _unit(direction))


def _pieces(
    corners: Float[np.ndarray, "F 3 3"],
) -> tuple[Int[np.ndarray, "Q"], Float[np.ndarray, "Q 3"], Float[np.ndarray, "Q"]]:
    """(triangle, centroid, radius) of pieces no larger than most triangles are."""
    owner, target, done = np.arange(len(corners)), None, []
    for cut in range(_CUTS + 1):
        centre = corners.mean(axis=1)
        radius = np.linalg.norm(corners - centre[:, None], axis=2).max(axis=1)
        target = float(np.median(radius)) if target is None else target
        large = (radius > target) & (cut < _CUTS)
        done.append((owner[~large], centre[~large], radius[~large]))
        owner, corners = np.tile(owner[large], 4), _quarters(corners[large])
    found = [np.concatenate(each) for each in zip(*done, strict=True)]
    return found[0], found[1], found[2]


def _quarters(corners: Float[np.ndarray, "F 3 3"]) -> Float[np.ndarray, "4*F 3 3"]:
    middle = (corners + np.roll(corners, -1, axis=1)) / 2  # of ab, bc, ca
    ends = [np.stack([corners[:, i], middle[:, i], middle[:, i - 1]], axis=1) for i in range(3)]
    return np.concatenate([*ends, middle])


def _ranges(count: int) -> list[Int[np.ndarray, "_"]]:
    return [np.arange(i, min(i + _POINTS, count)) for i in range(0, count, _POINTS)]


def _starts(point: Int[np.ndarray, "P"]) -> Int[np.ndarray, "_"]:
    """Where each point's pairs begin."""
    return np.flatnonzero(np.diff(point, prepend=-1))


def _parts(point: Int[np.ndarray, "P"]) -> Iterator[slice]:
    """Parts of the pairs of some `_PAIRS`, that tear no point's pairs apart."""
    starts = np.append(_starts(point), len(point))
    wanted = np.append(np.arange(0, len(point), _PAIRS), len(point))
    cuts = np.unique(starts[np.searchsorted(starts, wanted)])
    for i, j in itertools.pairwise(cuts):
        yield slice(i, j)


def _unit(vectors: Vectors) -> Vectors:
    """At length 1; zeros where there is none."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def _dot(a: Vectors, b: Vectors) -> Numbers:
    return np.einsum("ni,ni->n", a, b)


def _change(v, w, along_b, along_c, bb, bc, cc) -> Numbers:
    """|offset - v ab - w ac|^2 less |offset|^2."""
    return v * (v * bb - 2 * along_b) + w * (w * cc - 2 * along_c) + 2 * v * w * bc


def _on_edges(along_b, along_c, bb, bc, cc) -> tuple[Numbers, Numbers]:
    """(v, w) of the nearest place on the three edges."""
    side = bb - 2 * bc + cc  # squared length of the edge from b to c
    on_b = np.clip(along_b / np.where(bb > 0, bb, 1.0), 0, 1)
    on_c = np.clip(along_c / np.where(cc > 0, cc, 1.0), 0, 1)
    on_a = np.clip((along_c - along_b + bb - bc) / np.where(side > 0, side, 1.0), 0, 1)
    zero = np.zeros_like(on_b)
    options = [(on_b, zero), (zero, on_c), (1 - on_a, on_a)]
    changes = np.stack([_change(v, w, along_b, along_c, bb, bc, cc) for v, w in options])
    chosen = np.argmin(changes, axis=0)
    v = np.choose(chosen, [option[0] for option in options])
    return v, np.choose(chosen, [option[1] for option in options])

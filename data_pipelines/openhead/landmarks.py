"""Landmarks of the open head: FaceMesh looks at renders of the mean head, and its 468 points are
cast onto the surface. The iBUG 68 follow from FaceMesh by the usual table of indices.
"""

import numpy as np

from ofer_jax import faces as face_finder
from ofer_jax.render import project, rasterize, shade

OVAL = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
]  # fmt: skip
MIDLINE = [
    10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 164, 0, 11, 12, 13, 14, 15, 16, 17, 18,
    200, 199, 175, 152,
]  # fmt: skip
# Brows, wings of the nose, eyes and lips: subject's right, then left.
INNER_PAIRS = [
    (70, 300), (63, 293), (105, 334), (66, 296), (107, 336), (98, 327), (97, 326),
    (33, 263), (160, 387), (158, 385), (133, 362), (153, 380), (144, 373), (58, 288),
    (61, 291), (39, 269), (37, 267), (84, 314), (181, 405), (78, 308), (82, 312), (87, 317),
]  # fmt: skip
SIZE = 512
VIEWS = [(yaw, pitch) for yaw in (-24, -12, 0, 12, 24) for pitch in (-8, 0, 8)]
CONTOUR_YAWS = range(-39, 40)


def turned(vertices: np.ndarray, yaw: float, pitch: float = 0.0) -> np.ndarray:
    """Vertices turned by yaw (about y), then pitch (about x), in degrees."""
    y, x = np.deg2rad([yaw, pitch])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    return vertices @ (about_x @ about_y).T


def camera(vertices: np.ndarray) -> tuple[float, float, float]:
    """Fits the head (not the shoulders) into the picture."""
    height = vertices[:, 1].max() - np.quantile(vertices[:, 1], 0.02)
    scale = 0.8 * SIZE / height
    return scale, SIZE / 2, 0.08 * SIZE + scale * vertices[:, 1].max()


def facemesh_points(
    mean: np.ndarray, triangles: np.ndarray, colors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """FaceMesh's 468 points on the mean head [468, 3] and their scatter over the views, metres."""
    found = np.full((len(VIEWS), 468, 3), np.nan)
    for n, (yaw, pitch) in enumerate(VIEWS):
        vertices = turned(mean, yaw, pitch)
        cam = camera(vertices)
        picture, _ = shade(vertices, triangles, cam, (SIZE, SIZE), colors=colors)
        seen = face_finder.detect(picture)
        if seen:
            found[n] = _cast(mean, vertices, triangles, cam, seen[0].points[:, :2])
    if np.isnan(found).all(axis=(1, 2)).sum() > len(VIEWS) // 2:
        raise ValueError("FaceMesh found the mean head in fewer than half of the views")
    centre = np.nanmedian(found, axis=0)
    return centre, np.nanmedian(np.linalg.norm(found - centre, axis=-1), axis=0)


def _cast(rest, vertices, triangles, cam, points) -> np.ndarray:
    """Points [P, 2] of a picture onto the surface at rest; NaN where they miss it."""
    raster = rasterize(project(vertices, cam), triangles, SIZE, SIZE)
    x, y = np.clip(np.round(points).astype(int), 0, SIZE - 1).T
    face, bary = raster.face_index[y, x], raster.bary[y, x]
    out = np.einsum("pk,pkc->pc", bary, rest[triangles[face]])
    out[face < 0] = np.nan
    return out


def embed(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, allowed: np.ndarray):
    """Nearest place on the `allowed` triangles: face index [P] and barycentric weights [P, 3]."""
    ids = np.flatnonzero(allowed)
    corners = vertices[triangles[ids]]
    centres = corners.mean(1)
    faces, weights = np.zeros(len(points), np.int32), np.zeros((len(points), 3))
    for n, point in enumerate(points):
        near = np.argsort(np.linalg.norm(centres - point, axis=1))[:40]
        bary = np.stack([_nearest_bary(corners[i], point) for i in near])
        places = np.einsum("nk,nkc->nc", bary, corners[near])
        best = np.linalg.norm(places - point, axis=1).argmin()
        faces[n], weights[n] = ids[near[best]], bary[best]
    return faces, weights


def _nearest_bary(corners: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Weights of the point projected into the triangle (clipped to it)."""
    a, b, c = corners
    solution, *_ = np.linalg.lstsq(np.stack([b - a, c - a], 1), point - a, rcond=None)
    bary = np.clip([1 - solution.sum(), *solution], 0, None)
    return bary / bary.sum()


def symmetric(points: np.ndarray) -> np.ndarray:
    """FaceMesh's points averaged with their mirror images (x -> -x), where the pairing is plain."""
    mirrored = points * [-1, 1, 1]
    twin = np.linalg.norm(mirrored[:, None] - points[None], axis=-1).argmin(1)
    twin[MIDLINE] = MIDLINE
    for left, right in (*zip(OVAL[1:18], OVAL[:18:-1], strict=True), *INNER_PAIRS):
        twin[[left, right]] = right, left
    mutual = twin[twin] == np.arange(len(points))
    out = points.copy()
    out[mutual] = 0.5 * (points + mirrored[twin])[mutual]
    return out


def contour_places(
    vertices: np.ndarray, contour: np.ndarray, allowed: np.ndarray, smooth: float = 3.0
) -> np.ndarray:
    """Places [79, 17, 3] of the 17 contour points for each yaw, on or near the surface.

    Row = yaw for 0..39 degrees, 39 - yaw below. On the side that turns away, a point slides from
    its place on the jaw to the silhouette, along the ray from the face's middle through it; on the
    near side it stays. The way is smoothed over the yaw (`smooth` degrees, Gaussian).
    """
    middle = np.array([0.0, contour[:, 1].max() * 0.6 + contour[:, 1].min() * 0.4])
    rays = [_along_ray(vertices, allowed, middle, place) for place in contour]
    yaws = np.array(CONTOUR_YAWS)
    way = np.stack([_row(vertices, contour, rays, middle, yaw) for yaw in yaws])
    near = np.exp(-0.5 * ((yaws[:, None] - yaws[None]) / smooth) ** 2)
    way = np.einsum("ab,bic->aic", near / near.sum(1, keepdims=True), way)
    return np.stack([way[39 + y] for y in (*range(40), *range(-1, -40, -1))])


def _row(vertices, contour, rays, middle, yaw: int) -> np.ndarray:
    outward = turned(vertices, yaw)[:, :2]
    row = contour.copy()
    for i, (place, ray) in enumerate(zip(contour, rays, strict=True)):
        if place[0] * yaw > 0 and i != 8 and len(ray):
            row[i] = vertices[ray[(outward[ray] @ (place[:2] - middle)).argmax()]]
    return row


def _along_ray(vertices, allowed, middle, place) -> np.ndarray:
    """Allowed vertices in a sector about the ray from `middle` through `place`, no further back."""
    offset = vertices[allowed, :2] - middle
    direction = (place[:2] - middle) / np.linalg.norm(place[:2] - middle)
    along, across = offset @ direction, np.abs(offset @ [-direction[1], direction[0]])
    reach = np.linalg.norm(place[:2] - middle)
    near = (along > 0.45 * reach) & (across < 0.006) & (vertices[allowed, 2] > place[2] - 0.004)
    return allowed[near]

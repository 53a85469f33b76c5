"""Aligned crops: similarity transforms by least squares, and an antialiased warp.

A matrix is 2 x 3, maps pixel coordinates of the photograph to those of the crop, and acts on
[x, y, 1]; pixel centres lie at integers. Umeyama, "Least-squares estimation of transformation
parameters between two point patterns", TPAMI 1991: with centred X, Y and the SVD
U D V^T of Y^T X / n,

    R = U S V^T,  s = trace(D S) / var(X),  t = mean(Y) - s R mean(X),  S = diag(1, .., det(U V^T)).

Templates: insightface's five points for 112 x 112 crops; dlib's mean shape of five points for its
150 x 150 chips, in a unit square that is padded by a quarter of its side.
"""

import numpy as np
from PIL import Image

ARCFACE_TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
# Outer and inner corner of the image-right eye, the same of the image-left eye, nose base.
DLIB_TEMPLATE = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ]
)
DLIB_POINTS = (263, 362, 33, 133, 2)
DLIB_PADDING = 0.25
# Where ArcFace's five points fall in dlib's chip (median of photographs, made symmetric).
DLIB_FIVE = np.array([[48.5, 47.2], [100.5, 47.2], [74.5, 82.4], [53.5, 103], [95.5, 103]]) / 150


def umeyama(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """Similarity [D, D + 1] that best maps points src [N, D] onto dst [N, D] (D = 2 or 3).

    Raises ValueError when the shapes differ, fewer than D points are given, a value is not
    finite or all source points coincide.
    """
    src, dst = np.asarray(src, np.float64), np.asarray(dst, np.float64)
    if src.shape != dst.shape or src.ndim != 2 or src.shape[0] < src.shape[1]:
        raise ValueError(f"expected two sets of matching points, got {src.shape} and {dst.shape}")
    if not (np.isfinite(src).all() and np.isfinite(dst).all()):
        raise ValueError("points to align must be finite numbers")
    centred_src, centred_dst = src - src.mean(0), dst - dst.mean(0)
    variance = (centred_src**2).sum() / len(src)
    if variance <= 1e-12 * max(1.0, float(np.abs(src).max()) ** 2):
        raise ValueError(f"all {len(src)} source points lie at {src.mean(0)}; no scale to be found")
    u, d, vt = np.linalg.svd(centred_dst.T @ centred_src / len(src))
    sign = np.ones(src.shape[1])
    sign[-1] = np.sign(np.linalg.det(u @ vt)) or 1.0
    linear = (u * sign) @ vt * ((d * sign).sum() / variance)
    return np.concatenate([linear, (dst.mean(0) - linear @ src.mean(0))[:, None]], axis=1)


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [N, D] under the affine map `matrix` [D, D + 1]."""
    return points @ matrix[:, :-1].T + matrix[:, -1]


def invert(matrix: np.ndarray) -> np.ndarray:
    """The inverse of an affine map [D, D + 1]."""
    linear = np.linalg.inv(matrix[:, :-1])
    return np.concatenate([linear, -linear @ matrix[:, -1:]], axis=1)


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """One affine map [D, D + 1] after another."""
    linear = second[:, :-1]
    return np.concatenate([linear @ first[:, :-1], apply(second, first[:, -1:].T).T], axis=1)


def square_matrix(
    centre: np.ndarray, side: float, size: int, direction: np.ndarray | None = None
) -> np.ndarray:
    """Photograph -> crop for the square of `side` pixels about `centre` [2], seen at size x size.

    `direction` [2] is the way in the photograph that becomes "right" in the crop (default x).
    """
    cos, sin = (1.0, 0.0) if direction is None else direction / max(np.hypot(*direction), 1e-9)
    linear = np.array([[cos, sin], [-sin, cos]]) * (size / side)
    return np.concatenate([linear, ((size - 1) / 2 - linear @ centre)[:, None]], axis=1)


def arcface_matrix(five: np.ndarray, size: int = 112) -> np.ndarray:
    """Photograph -> ArcFace crop of `size` pixels from five points [5, 2] (`Face.five`)."""
    return umeyama(five, ARCFACE_TEMPLATE * (size / 112))


def dlib_matrix(points: np.ndarray, size: int = 150) -> np.ndarray:
    """Photograph -> dlib's face chip from FaceMesh points [468, 2 or 3]."""
    target = (DLIB_TEMPLATE + DLIB_PADDING) / (1 + 2 * DLIB_PADDING) * size
    return umeyama(points[list(DLIB_POINTS), :2], target)


def dlib_matrix_of_five(five: np.ndarray, size: int = 150) -> np.ndarray:
    """The same from five points [5, 2] only, for a face whose mesh points are not to be trusted."""
    return umeyama(five, DLIB_FIVE * size)


def warp(image: np.ndarray | Image.Image, matrix: np.ndarray, size: int) -> np.ndarray:
    """The crop uint8 [size, size, 3]; outside of the photograph it is black.

    Where the crop shrinks the picture, k x k samples are averaged for each pixel, so that each part
    of the photograph counts (no aliasing).
    """
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    shrink = 1 / max(float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))), 1e-6)
    picture, matrix = _reduce(picture, matrix, shrink, size)
    inverse = invert(matrix)
    k = int(np.clip(np.ceil(min(shrink, 4.0) - 0.1), 1, 4))
    # Pillow counts from pixel corners: centre x of ours is x + 1/2 of theirs, on both sides.
    linear = inverse[:, :2] / k
    offset = inverse[:, 2] + 0.5 - inverse[:, :2] @ np.array([0.5, 0.5])
    data = (*linear[0], offset[0], *linear[1], offset[1])
    shape = (size * k, size * k)
    crop = picture.transform(shape, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    return np.asarray(crop.reduce(k) if k > 1 else crop)


def _reduce(
    picture: Image.Image, matrix: np.ndarray, shrink: float, size: int
) -> tuple[Image.Image, np.ndarray]:
    """Cuts out what the crop sees and halves (or more) a picture that shrinks over four times."""
    factor = int(shrink // 3)
    if factor < 2:
        return picture, matrix
    corners = apply(invert(matrix), np.array([[0, 0], [size, 0], [0, size], [size, size]], float))
    limit = np.array(picture.size)
    low = np.clip(np.floor(corners.min(0)) - 2 * factor, 0, limit - 1).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 2 * factor, low + 1, limit).astype(int)
    small = picture.reduce(factor, (*low.tolist(), *high.tolist()))
    # pixel x of the reduced picture has its centre at low + factor * (x + 1/2) - 1/2
    linear = matrix[:, :2]
    offset = linear @ (low + (factor - 1) / 2) + matrix[:, 2]
    return small, np.concatenate([linear * factor, offset[:, None]], axis=1)

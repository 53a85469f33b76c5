"""BlazeFace, short range: boxes and six keypoints of the faces in square views of photographs.

The network sees 128 x 128 pixels and answers for 896 anchors: 2 at each cell of a 16 x 16 grid
and 6 at each of an 8 x 8 one. Raw numbers are pixels of the view, relative to the anchor's
centre: centre x, y, width, height, then six x, y; a score is the sigmoid of the logit.
Overlapping answers are averaged, weighted by their scores (Bazarevsky et al. 2019, arXiv
1907.05047).

It was made for faces that fill a fifth of the view or more. So when the whole photograph shows
none, overlapping tiles of a half and then a quarter of it are looked at, and the photograph with
a wide margin (for faces larger than the frame): at most 60-odd views for one photograph.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from ofer_jax import openhead
from ofer_jax.faces import align, batching, graph

SIZE = 128
THRESHOLD = 0.5
OVERLAP = 0.3
Detection = tuple[np.ndarray, np.ndarray, float]  # box [4], keypoints [6, 2], score


@cache
def _network() -> tuple[batching.Function, graph.Weights]:
    text, weights = graph.split(openhead.weights("blazeface"))
    return partial(_forward, text), jax.device_put(weights)


@cache
def anchors() -> np.ndarray:
    """Centres [896, 2] of the anchors, as fractions of the view."""
    rows = []
    for cells, each in ((16, 2), (8, 6)):
        y, x = np.mgrid[:cells, :cells]
        rows.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2) + 0.5, each, 0) / cells)
    return np.concatenate(rows).astype(np.float32)


def _forward(
    text: str, weights: graph.Weights, views: UInt8[Array, "B 128 128 3"]
) -> tuple[Float[Array, "B 896 8 2"], Float[Array, "B 896"]]:
    """Centre, size and keypoints (fractions of the view) and scores of all anchors."""
    raw, logits = graph.apply(text, weights, views.astype(jnp.float32) / 127.5 - 1)
    values = raw.reshape(-1, 896, 8, 2) / SIZE
    is_place = jnp.array([1.0, 0, 1, 1, 1, 1, 1, 1])[None, None, :, None]
    values = values + is_place * jnp.asarray(anchors())[None, :, None, :]
    return values, jax.nn.sigmoid(logits[..., 0])


def find(
    pictures: list[Image.Image], matrices: list[np.ndarray], threshold: float = THRESHOLD
) -> list[list[Detection]]:
    """Detections, in pixels of the photograph, of each view (photograph -> 128 x 128 matrix)."""
    views = [align.warp(p, m, SIZE) for p, m in zip(pictures, matrices, strict=True)]
    values, scores = batching.run(_network, views)
    return [_decode(v, s, m, threshold) for v, s, m in zip(values, scores, matrices, strict=True)]


def _decode(
    values: np.ndarray, scores: np.ndarray, matrix: np.ndarray, threshold: float
) -> list[Detection]:
    keep = scores > threshold
    places, scores = values[keep].astype(np.float64), scores[keep]
    half = places[:, 1] / 2
    corners = np.stack([places[:, 0] - half, places[:, 0] + half], 1)
    points = np.concatenate([corners, places[:, 2:]], 1) * SIZE - 0.5
    points = align.apply(align.invert(matrix), points.reshape(-1, 2)).reshape(-1, 8, 2)
    corners = np.sort(points[:, :2], axis=1).reshape(-1, 4)  # a turned view swaps them
    return suppress([(c, p[2:], float(s)) for c, p, s in zip(corners, points, scores, strict=True)])


def suppress(found: list[Detection]) -> list[Detection]:
    """Weighted non-maximum suppression: each cluster's average, scores as weights, best first."""
    rest, merged = sorted(found, key=lambda d: -d[2]), []
    while rest:
        near = [d for d in rest if overlap(rest[0][0], d[0]) > OVERLAP] or rest[:1]
        weights = np.array([d[2] for d in near])
        box = np.average([d[0] for d in near], axis=0, weights=weights)
        keypoints = np.average([d[1] for d in near], axis=0, weights=weights)
        merged.append((box, keypoints, rest[0][2]))
        taken = {id(d) for d in near}
        rest = [d for d in rest if id(d) not in taken]
    return merged


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes [4]."""
    size = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - np.prod(size)
    return float(np.prod(size) / max(union, 1e-9))


def whole(
    width: int, height: int, margin: float = 1.0, direction: np.ndarray | None = None
) -> np.ndarray:
    """The view of a whole photograph in a square (`margin` times the longer side), maybe turned."""
    centre = (np.array([width, height]) - 1) / 2
    return align.square_matrix(centre, max(width, height) * margin, SIZE, direction)


def tiles(width: int, height: int, side: float) -> list[np.ndarray]:
    """Views of `side` pixels that cover the photograph and overlap by a half or more."""

    def starts(length: int) -> np.ndarray:
        count = 1 + int(np.ceil(max(length - side, 0) / (side / 2)))
        return np.linspace(0, max(length - side, 0), count) if length > side else np.array([0.0])

    half = (side - 1) / 2
    return [
        align.square_matrix(np.array([x, y]) + half, side, SIZE)
        for y in starts(height)
        for x in starts(width)
    ]

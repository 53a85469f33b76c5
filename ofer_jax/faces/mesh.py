"""FaceMesh: 468 points of a face in 3D, and whether a face is present at all.

The network sees 192 x 192 pixels, RGB / 255: a square 1.5 times the face's box, turned until the
eyes are level (Kartynnik et al. 2019, arXiv 1907.06724). Depth has the scale of x and y and grows
away from the camera.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from ofer_jax import openhead
from ofer_jax.faces import align, batching, graph

SIZE = 192
MARGIN = 1.5
POINTS = 468
EYE_CORNERS = (33, 263)  # outer corners, image-left and image-right


@cache
def _network() -> tuple[batching.Function, graph.Weights]:
    text, weights = graph.split(openhead.weights("facemesh"))
    return partial(_forward, text), jax.device_put(weights)


def _forward(
    text: str, weights: graph.Weights, crops: UInt8[Array, "B 192 192 3"]
) -> tuple[Float[Array, "B 468 3"], Float[Array, "B"]]:
    outputs = graph.apply(text, weights, crops.astype(jnp.float32) / 255)
    points, presence = sorted(outputs, key=lambda o: -o.size)
    return points.reshape(-1, POINTS, 3), jax.nn.sigmoid(presence.reshape(-1))


def find(pictures: list[Image.Image], matrices: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, 468, 3] in pixels of the photographs and presence [N], one crop each."""
    crops = [align.warp(p, m, SIZE) for p, m in zip(pictures, matrices, strict=True)]
    points, presence = batching.run(_network, crops)
    placed = [_place(p, m) for p, m in zip(points.astype(np.float64), matrices, strict=True)]
    return np.stack(placed), presence


def _place(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    inverse = align.invert(matrix)
    plane = align.apply(inverse, points[:, :2] - 0.5)
    depth = points[:, 2:] * np.sqrt(abs(np.linalg.det(inverse[:, :2])))
    return np.concatenate([plane, depth], axis=1)


def crop_matrix(box: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """The crop for a detection: box [4], keypoints [6, 2] (eyes first)."""
    centre, side = (box[:2] + box[2:]) / 2, float(np.max(box[2:] - box[:2]))
    return align.square_matrix(centre, side * MARGIN, SIZE, keypoints[1] - keypoints[0])


def refined_matrix(points: np.ndarray) -> np.ndarray:
    """The crop that a tracker would take next: about the points' bounds, eyes level."""
    direction = (points[EYE_CORNERS[1]] - points[EYE_CORNERS[0]])[:2]
    turn = align.square_matrix(np.zeros(2), 1.0, 1, direction)[:, :2]
    turned = points[:, :2] @ turn.T
    low, high = turned.min(0), turned.max(0)
    centre = (low + high) / 2 @ turn
    return align.square_matrix(centre, float(np.max(high - low)) * MARGIN, SIZE, direction)

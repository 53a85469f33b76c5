"""A head on a card: turned, framed, shaded. Heads that share a camera can be compared."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from ofer_jax import meshes, render

CARD = (236, 234, 229)
# Of a page: its ground, its text and its quieter text.
PAGE, INK, SOFT = (250, 249, 246), (34, 36, 40), (112, 112, 116)
_SUPERSAMPLE = 2  # cards are drawn at their final size, heads larger by this and averaged down
_BRIGHTNESS = 1.18  # of the heads: the shader's lights are soft
Size = tuple[int, int]  # width, height
Camera = tuple[float, float, float]


def turned(vertices: Float[np.ndarray, "V 3"], yaw: float) -> Float[np.ndarray, "V 3"]:
    """The head turned by `yaw` radians (positive: its nose to the right of the picture)."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
    centre = vertices.mean(0, keepdims=True)
    return (vertices - centre) @ turn.T


def camera(
    view: Float[np.ndarray, "V 3"], face: Int[np.ndarray, "R"], size: Size, crown: float = 1.0
) -> Camera:
    """The camera that shows the head down to a little of the neck, in the middle of a tile.

    view: of the head without an expression; face: the vertices of its face region; `crown`: how
    much of the head above the face is shown.
    """
    chin, brow = view[face, 1].min(), view[face, 1].max()
    top = brow + crown * (view[:, 1].max() - brow)
    shown = view[(view[:, 1] > chin) & (view[:, 1] <= top)]
    low, high = shown[:, :2].min(0), shown[:, :2].max(0)
    low[1] = chin - 0.14 * (top - chin)
    scale = min(0.86 * size[0] / (high[0] - low[0]), 0.93 * size[1] / (high[1] - low[1]))
    x, y = (size[0] - 1) / 2, (size[1] - 1)
    left = x - scale * (low[0] + high[0]) / 2
    return float(scale), float(left), float(y + scale * low[1])


def colors(
    surface: Mapping[str, np.ndarray],
    triangles: Int[np.ndarray, "F 3"],
    vertices: Float[np.ndarray, "V 3"],
) -> Float[np.ndarray, "V 3"]:
    """Each vertex's colour for `draw`, as `meshes.colors` has it."""
    return meshes.colors(surface, triangles, vertices) / 255.0 * _BRIGHTNESS


def draw(
    view: Float[np.ndarray, "V 3"],
    triangles: Int[np.ndarray, "F 3"],
    camera: Camera,
    size: Size,
    colors: Float[np.ndarray, "V 3"],
) -> Image.Image:
    """The tile of one head."""
    width, height = size
    drawn, coverage = render.shade(
        view, triangles, camera, (height, width), colors=colors, supersample=_SUPERSAMPLE
    )
    return Image.fromarray(render.over(backdrop(size), drawn, coverage))


@cache
def backdrop(size: Size) -> UInt8[np.ndarray, "H W 3"]:
    """A card a little lighter at the top."""
    ramp = np.linspace(8, -6, size[1])[:, None, None] + np.array(CARD, np.float64)
    return np.broadcast_to(np.rint(ramp), (size[1], size[0], 3)).astype(np.uint8)

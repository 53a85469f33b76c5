"""Pieces of a contact sheet: pictures fitted to tiles, tiles to a grid (NumPy, without text)."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

PAPER = (250, 250, 248)


def canvas(
    height: int, width: int, color: tuple[int, int, int] = PAPER
) -> UInt8[np.ndarray, "H W 3"]:
    """An empty picture."""
    return np.full((height, width, 3), color, np.uint8)


def fit_tile(
    image: UInt8[np.ndarray, "H W 3"],
    height: int,
    width: int,
    color: tuple[int, int, int] = PAPER,
) -> UInt8[np.ndarray, "h w 3"]:
    """The whole picture in the middle of a tile, shape kept, by area averaging or bilinearly."""
    scale = min(height / image.shape[0], width / image.shape[1])
    size = [max(1, round(side * scale)) for side in image.shape[:2]]
    small = resize(image, *size)
    tile_ = canvas(height, width, color)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    tile_[top : top + size[0], left : left + size[1]] = small
    return tile_


def resize(
    image: UInt8[np.ndarray, "H W 3"], height: int, width: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Separable triangle filter, widened when shrinking, so that nothing aliases."""
    rows = _weights(image.shape[0], height)
    columns = _weights(image.shape[1], width)
    out = np.einsum("hH,HWc->hWc", rows, image.astype(np.float32), optimize=True)
    out = np.einsum("wW,hWc->hwc", columns, out, optimize=True)
    return np.rint(np.clip(out, 0, 255)).astype(np.uint8)


def _weights(source: int, target: int) -> np.ndarray:
    ratio = source / target
    centre = (np.arange(target)[:, None] + 0.5) * ratio - 0.5
    weights = np.maximum(1 - np.abs(np.arange(source) - centre) / max(ratio, 1.0), 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def tile(
    images: Sequence[UInt8[np.ndarray, "H W 3"]],
    columns: int,
    *,
    gap: int = 6,
    color: tuple[int, int, int] = PAPER,
) -> UInt8[np.ndarray, "H2 W2 3"]:
    """A grid of pictures, row by row; cells as large as the largest picture."""
    if not images or columns < 1:
        raise ValueError(f"a sheet needs pictures and columns, not {len(images)} and {columns}")
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    rows = math.ceil(len(images) / columns)
    sheet = canvas(rows * (height + gap) + gap, columns * (width + gap) + gap, color)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet

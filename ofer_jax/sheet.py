"""`sheet.png`: what was found in one photograph, on one page.

Top: the photograph with the face boxed, the best face laid over it, and how much the shapes differ
at each place. Middle: the mean of the shapes, the best and the next-best ones. Below: eight
expressions of the best one.
All heads of a row share one camera, so that they can be compared.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ofer_jax import portrait, render
from ofer_jax.portrait import CARD, INK, PAGE, SOFT
from ofer_jax.reconstruct import PRESENCE, Reconstruction

WIDTH, MARGIN, GAP = 1600, 48, 20
IDENTITIES, EXPRESSIONS = 5, 8
_WARN, _ACCENT = (166, 88, 20), (214, 92, 50)
_MEANT = (
    "Mean: the best single guess, smoother than any real face; it errs less on average. "
    "Ranked: one plausible face, with the detail that a mean lacks."
)
Size = tuple[int, int]  # width, height


def compose(result: Reconstruction, surface: Mapping[str, np.ndarray]) -> Image.Image:
    """The page of one reconstruction.

    Args:
        result: of one face.
        surface: as `openhead.surface()`.
    """
    page = _Page()
    _header(page, result)
    third = _columns(3)
    page.row(
        ["The photograph", "The best face, laid over it", "Where the shapes differ"],
        [
            _photograph(result, third),
            *_at_once(lambda draw: draw(result, surface, third), (_overlay, _heat)),
        ],
        [
            "the face that was taken",
            _pose_caption(result),
            f"distance of {len(result.shapes)} shapes from their mean, mm",
        ],
    )
    drawn = len(result.shapes)
    count = min(IDENTITIES, drawn)
    page.row(
        [f"Mean of {drawn} shapes", f"Ranked: the best {count} of {drawn} shapes"],
        _identities(result, surface, count),
        ["mean", *(f"{i + 1}   score {result.scores[i]:.2f}" for i in range(count))],
    )
    page.text(_MEANT, 19, SOFT)
    page.space(18)
    chosen = _expression_order(result)
    page.row(
        [f"{len(chosen)} of {len(result.jaws)} expressions drawn for the best shape"],
        _expressions(result, surface, chosen),
        ["closest to the photo" if i == result.expression else f"no. {i + 1}" for i in chosen],
    )
    page.text(_origin(result), 17, SOFT)
    return page.finish()


class _Page:
    """A column of rows, drawn from the top downwards on a page that is cut to length at the end."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH, 3000), PAGE)
        self.draw = ImageDraw.Draw(self.image)
        self.y = MARGIN

    def text(self, text: str, size: int, color: tuple[int, int, int]) -> None:
        fitted = _fitted(_plain(text), _font(size), WIDTH - 2 * MARGIN)
        self.draw.text((MARGIN, self.y), fitted, color, _font(size))
        self.y += round(size * 1.45)

    def space(self, height: int) -> None:
        self.y += height

    def row(self, titles: Sequence[str], tiles: Sequence[Image.Image], captions: Sequence[str]):
        """Tiles side by side; a title above each, or one above all; a caption below each."""
        step = tiles[0].width + GAP
        for i, title in enumerate(titles):
            self.draw.text((MARGIN + i * step, self.y), _plain(title), INK, _font(24))
        self.y += 38
        for i, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
            left = MARGIN + i * step
            self.image.paste(tile, (left, self.y), _rounded(tile.size))
            self.draw.text((left + 2, self.y + tile.height + 7), _plain(caption), SOFT, _font(17))
        self.y += tiles[0].height + 50

    def finish(self) -> Image.Image:
        return self.image.crop((0, 0, WIDTH, self.y + MARGIN - 16))


def _header(page: _Page, result: Reconstruction) -> None:
    face = f", face {result.number + 1}" if result.number else ""
    page.text(f"Plausible 3D faces for {result.photo.name}{face}", 38, INK)
    counts = f"{len(result.shapes)} shapes drawn and ranked, {len(result.jaws)} expressions"
    page.text(f"{counts}   |   head: {_head_name(result)}   |   seed {result.seed}", 19, SOFT)
    for note in result.notes:
        page.text(f"Note: {note}", 19, _WARN)
    page.space(18)


def _head_name(result: Reconstruction) -> str:
    return result.head.get("release") or result.head["name"]


def _origin(result: Reconstruction) -> str:
    """Which head and networks made it, and what that is worth."""
    head = f"Made with the head '{_head_name(result)}'"
    if result.mode:
        return f"{head} and the published networks, mode {result.mode}."
    if result.head["name"].startswith("open-head"):
        head += ", an artist's head space"
    return f"{head}: plausible faces, not a measurement of a person."


def _pose_caption(result: Reconstruction) -> str:
    rough = result.face.presence < PRESENCE
    return "roughly placed: the face is mostly hidden" if rough else "at the fitted pose and camera"


# ---------------------------------------------------------------- tiles


def _photograph(result: Reconstruction, side: int) -> Image.Image:
    """The whole picture in a square card, the face boxed."""
    image = Image.fromarray(result.photo.image)
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    card = Image.new("RGB", (side, side), CARD)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    card.paste(image.resize(size, Image.Resampling.LANCZOS), (left, top))
    box = (np.asarray(result.face.box) + 0.5) * scale + np.array([left, top, left, top])
    corners = [float(value) for value in box]
    ImageDraw.Draw(card).rounded_rectangle(corners, 8, outline=_ACCENT, width=3)
    return card


def _overlay(result: Reconstruction, surface: Mapping[str, np.ndarray], side: int) -> Image.Image:
    """A square of the picture around the head, with the face's surface drawn over it."""
    scale, tx, ty = (float(v) for v in result.camera)
    region = result.posed_vertices[surface["region_face"]]
    x, y = scale * region[:, 0] + tx, -scale * region[:, 1] + ty
    left, top, extent = _square(x, y, result.photo.image.shape)
    crop = _cut(Image.fromarray(result.photo.image), left, top, extent, side)
    zoom = side / extent
    placed = (scale * zoom, (tx - left + 0.5) * zoom - 0.5, (ty - top + 0.5) * zoom - 0.5)
    kept = _within(result.triangles, _face_vertices(surface, len(result.posed_vertices)))
    colors = 1.1 * _colors(result, surface)
    drawn, coverage = render.shade(result.posed_vertices, kept, placed, (side, side), colors=colors)
    soft = _feathered(coverage)
    drawn = np.rint(drawn * soft[..., None]).astype(np.uint8)
    return Image.fromarray(render.over(crop, drawn, coverage * soft, 0.86))


def _feathered(coverage: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Opacity that falls to 0 over some pixels inside the edge, without the edge's spikes."""
    mask = Image.fromarray(np.rint(coverage * 255).astype(np.uint8))
    blurred = np.asarray(mask.filter(ImageFilter.GaussianBlur(5)), np.float32) / 255
    return np.clip(2 * blurred - 1, 0, 1) ** 0.5


def _square(x: np.ndarray, y: np.ndarray, shape: Sequence[int]) -> tuple[float, float, float]:
    """Left, top and side of a square around the face, inside the picture as far as it can be."""
    face = max(np.ptp(x), np.ptp(y), 8.0)
    extent = min(1.75 * face, max(1.2 * face, min(shape[:2])))
    left, top = (x.min() + x.max() - extent) / 2, (y.min() + y.max() - extent) / 2
    # shifted into the picture, but never so far that the face is cut
    slack = (extent - face) / 2
    left += np.clip(-0.5 - left, 0, slack) - np.clip(left + extent - shape[1] + 0.5, 0, slack)
    top += np.clip(-0.5 - top, 0, slack) - np.clip(top + extent - shape[0] + 0.5, 0, slack)
    return left, top, extent


def _cut(
    image: Image.Image, left: float, top: float, extent: float, side: int
) -> UInt8[np.ndarray, "S S 3"]:
    """A square of the picture, page-coloured where it reaches beyond it."""
    zoom = side / extent
    if zoom < 0.5:  # Pillow's affine transform does not antialias: shrink first
        factor = int(0.999 / zoom)
        image = image.reduce(factor)
        left, top, zoom = left / factor, top / factor, zoom * factor
    # output pixel centre + 0.5 -> input position, both counted from the corner of a pixel
    matrix = (1 / zoom, 0, left, 0, 1 / zoom, top)
    cut = image.transform(
        (side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=CARD
    )
    return np.asarray(cut)


def _heat(result: Reconstruction, surface: Mapping[str, np.ndarray], side: int) -> Image.Image:
    """The best shape coloured by how far the shapes spread, with its scale."""
    spread = result.spread * 1e3
    face = spread[surface["region_face"]]
    top = max(0.5, float(np.ceil(2 * np.percentile(face, 98)) / 2))
    colors = render.colormap(spread, "heat", low=0.0, high=top)
    bar = 58
    tile = Image.new("RGB", (side, side), CARD)
    view = portrait.turned(result.vertices[0], -0.35)
    camera = portrait.camera(view, surface["region_face"], (side, side - bar))
    tile.paste(portrait.draw(view, result.triangles, camera, (side, side - bar), colors), (0, 0))
    width = round(side * 0.62)
    left, y = (side - width) // 2, side - bar + 6
    tile.paste(Image.fromarray(render.color_bar(14, width, "heat")), (left, y))
    draw = ImageDraw.Draw(tile)
    for part in (0.0, 0.5, 1.0):
        label = f"{part * top:g}" + (" mm" if part == 1 else "")
        draw.text((left + part * width, y + 20), label, SOFT, _font(16), anchor="ma")
    return tile


def _identities(
    result: Reconstruction, surface: Mapping[str, np.ndarray], count: int
) -> list[Image.Image]:
    """The mean shape, then the best ones."""
    width = _columns(1 + IDENTITIES)
    size = (width, round(width * 1.16))
    heads = [result.mean_vertices, *result.vertices[:count]]
    views = [portrait.turned(v, -0.4) for v in heads]
    colors = _colors(result, surface)
    camera = portrait.camera(views[1], surface["region_face"], size)
    return _at_once(lambda v: portrait.draw(v, result.triangles, camera, size, colors), views)


def _expressions(
    result: Reconstruction, surface: Mapping[str, np.ndarray], chosen: Sequence[int]
) -> list[Image.Image]:
    width = _columns(EXPRESSIONS)
    size = (width, round(width * 1.2))
    views = [portrait.turned(result.expression_vertices[i], 0.0) for i in chosen]
    colors = _colors(result, surface)
    neutral = portrait.turned(result.vertices[0], 0.0)
    camera = portrait.camera(neutral, surface["region_face"], size, crown=0.35)
    return _at_once(lambda v: portrait.draw(v, result.triangles, camera, size, colors), views)


def _expression_order(result: Reconstruction) -> list[int]:
    """The one closest to the photograph first, then the others as they were drawn."""
    others = [i for i in range(len(result.jaws)) if i != result.expression]
    return [result.expression, *others][:EXPRESSIONS]


# ---------------------------------------------------------------- pieces


def _at_once(draw: Callable[[Any], Image.Image], views: Iterable[Any]) -> list[Image.Image]:
    """Draws each view, several at once: NumPy lets other threads run while it counts."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(draw, views))


def _colors(result: Reconstruction, surface: Mapping[str, np.ndarray]) -> np.ndarray:
    return portrait.colors(surface, result.triangles, result.vertices[0])


def _face_vertices(surface: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    kept = np.zeros(count, bool)
    for name in ("region_face", "region_eyes"):
        kept[surface.get(name, [])] = True
    return kept


def _within(triangles: Int[np.ndarray, "F 3"], kept: np.ndarray) -> Int[np.ndarray, "G 3"]:
    return triangles[kept[triangles].all(1)]


def _columns(count: int) -> int:
    """Width of one of `count` tiles that fill the page's width."""
    return (WIDTH - 2 * MARGIN - (count - 1) * GAP) // count


@cache
def _rounded(size: Size) -> Image.Image:
    """A mask with rounded corners, antialiased."""
    large = Image.new("L", (size[0] * 4, size[1] * 4), 0)
    corners = (0, 0, large.width - 1, large.height - 1)
    ImageDraw.Draw(large).rounded_rectangle(corners, 48, fill=255)
    return large.resize(size, Image.Resampling.LANCZOS)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, its middle left out where it is too wide."""
    if font.getlength(text) <= width:
        return text
    kept = next(
        k for k in range(len(text) // 2, -1, -1) if font.getlength(_cut_out(text, k)) <= width
    )
    return _cut_out(text, kept)


def _cut_out(text: str, kept: int) -> str:
    return text[:kept] + " ... " + text[len(text) - kept :]


def _plain(text: str) -> str:
    """What Pillow's own font can show: accents dropped, other letters as question marks."""
    return (
        unicodedata.normalize("NFKD", text).encode("ascii", "replace").decode().replace("??", "?")
    )

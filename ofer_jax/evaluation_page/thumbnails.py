"""The photographs of a report, small, beside their figures: the steadiest and the least steady."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ofer_jax import photos
from ofer_jax.evaluation_page.html import Html, el

SIDE, EACH = 256, 6  # pixels; photographs of a group
_GAP = "\N{NO-BREAK SPACE}"
GROUPS = ("Steadiest", "Least steady")


def of(folder: str, names: Sequence[str]) -> dict[str, str]:
    """{name: WebP in base64} of those photographs that lie in the folder still."""
    found = {}
    for path in photos.find([folder])[0]:
        if path.name in names:
            try:
                picture = Image.fromarray(photos.read(path).image)
            except photos.PhotoError:
                continue  # measured, and damaged since then
            picture.thumbnail((SIDE, SIDE))
            stream = io.BytesIO()
            picture.save(stream, format="WEBP", quality=80)
            found[path.name] = base64.b64encode(stream.getvalue()).decode()
    return found


def build(found: Mapping[str, Any], pictures: Mapping[str, str]) -> list[Html]:
    """The groups of a report of `photo_checks`, by the mean over the variants of how far the answer
    moves; nothing where there is no picture."""
    moved = {
        name: float(np.mean(each))
        for i, name in enumerate(found["photographs"])
        if len(each := _there([values[i] for values in _same(found).values()]))
    }
    order = sorted((name for name in moved if name in pictures), key=lambda name: moved[name])
    each = min(EACH, len(order) // 2)
    groups = zip(GROUPS, (order[:each], order[::-1][:each]), strict=True)
    shown = []
    for title, names in groups if each else ():
        tiles = [_tile(found, name, moved[name], pictures[name]) for name in names]
        strip = el("div", tiles, class_="strip whole")
        shown += [el("h3", f"{title} photographs"), el("article", strip, class_="case")]
    return shown


def _same(found: Mapping[str, Any]) -> Mapping[str, Sequence[float]]:
    return found["consistency"]["mean"]["same_mm"]


def _there(values: Sequence[float]) -> list[float]:
    """Those of variants in which a face was found."""
    return [value for value in values if np.isfinite(value)]


def _tile(found: Mapping[str, Any], name: str, moved: float, picture: str) -> Html:
    again = found["reprojection"]
    told = [el("small", f"moves by {moved:.2f}{_GAP}mm")]
    if name in again.get("of", ()):
        row = list(again["of"]).index(name)
        own, mean = (again["percent"][n][row] for n in ("mean of the samples", "mean face"))
        told.append(el("small", f"points {own:.1f}{_GAP}%, mean{_GAP}face {mean:.1f}{_GAP}%"))
    image = el("img", src=f"data:image/webp;base64,{picture}", alt=name)
    return el("figure", image, el("figcaption", el("span", name, title=name, class_="name"), told))

"""Estimates as cells and as words. An estimate is a mapping with 'value', 'low' and 'high'."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ofer_jax.evaluation_page.html import Html, el, interval
from ofer_jax.evaluation_page.svg import bar

Estimate = Mapping[str, float]


class Finding(NamedTuple):
    """What figures say: of what, and a sentence."""

    label: str
    text: str


COLORS = {"clean": 0, "occluded": 1}  # of the two sides, everywhere on the page


def cell(
    value: Estimate | None,
    top: float,
    *,
    color: int = 0,
    at: float | None = 1.0,
    mm: Estimate | None = None,
) -> Html | str:
    """A bar from 0 to `top`, the estimate beside it and, if there are, its millimetres."""
    if value is None:
        return f"{mm['value']:.2f} mm" if mm else ""
    if not known(value):
        return "\N{EN DASH}"
    size = el("em", f"{mm['value']:.2f} mm") if mm else None
    return el("div", bar(value, top, color=color, at=at), interval(value), size, class_="est")


def known(value: Estimate | None) -> bool:
    """Whether it is a number with an interval."""
    return value is not None and all(math.isfinite(value[k]) for k in ("value", "low", "high"))


def top_of(values: Iterable[Estimate | None], least: float = 1.0) -> float:
    """The end of the bars of some estimates."""
    return 1.05 * max([least, *(v["high"] for v in values if v is not None and known(v))])


def words(value: Estimate, digits: int = 2) -> str:
    """'0.56 (0.51 to 0.62)'."""
    low, high = (f"{value[end]:.{digits}f}" for end in ("low", "high"))
    return f"{value['value']:.{digits}f} ({low} to {high})"


def percent(value: Estimate) -> str:
    """'83 % (70 to 93)' of a share; a line is not broken before the sign."""
    low, high = (f"{100 * value[end]:.0f}" for end in ("low", "high"))
    return f"{100 * value['value']:.0f}\N{NO-BREAK SPACE}% ({low} to {high})"


def verdict(value: Estimate, limit: float, below: str, within: str, above: str) -> str:
    """What the interval says of a limit: it lies below, holds it, or lies above."""
    if value["high"] < limit:
        return below
    return above if value["low"] > limit else within


def spread_of(points: Iterable[Any]) -> list[tuple[float, float]]:
    """(low, high) of each estimate, for the band of a curve."""
    return [(point["low"], point["high"]) for point in points]

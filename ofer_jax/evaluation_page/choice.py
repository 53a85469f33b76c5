"""The choice among N samples (`ranking_report.report`): shares and errors over N."""

from collections.abc import Mapping
from typing import Any

from ofer_jax.evaluate import SIDES
from ofer_jax.evaluation_page.estimates import (
    COLORS,
    Finding,
    cell,
    spread_of,
    top_of,
    verdict,
    words,
)
from ofer_jax.evaluation_page.html import (
    Html,
    charts,
    el,
    folded,
    interval,
    lead,
    notes,
    section,
    table,
)
from ofer_jax.evaluation_page.svg import Series, curves
from ofer_jax.quality import caveats
from ofer_jax.ranking_report import NOTES, main_size

TITLE = "The choice among N samples"
_FLAT = ("mean face", "random")  # not worth a curve


def build(found: Mapping[str, Any]) -> Html:
    """The part of the page."""
    size = main_size(found)
    tables = [[el("h3", f"{side.capitalize()}, N = {size}"), _table(found, side)] for side in SIDES]
    several = len(found["clean"]) > 1
    return section(
        "ranking",
        TITLE,
        found.get("command", ""),
        lead(
            "How much of the gap between an average sample and the best one a choice recovers, for "
            "any number of samples. The mean of the samples is a face of its own and no choice."
        ),
        charts(_shares(found), _errors(found)) if several else None,
        tables,
        folded("The shares for every N", [_every(found, side) for side in SIDES]),
        notes(NOTES, *caveats(found)),
    )


def _rows(found: Mapping[str, Any], part: str) -> list[str]:
    return list(next(iter(found["clean"].values()))[part])


def _series(found: Mapping[str, Any], part: str, names: list[str], colors: dict[str, int]) -> list:
    out = []
    for side in SIDES:
        for name in names:
            points = [values[part][name] for values in found[side].values()]
            out.append(
                Series(
                    name,
                    [(int(n), v["value"]) for n, v in zip(found[side], points, strict=True)],
                    color=colors[name],
                    dashed=side == "occluded",
                    band=spread_of(points) if side == "clean" and part == "share" else (),
                    shown=side == "clean",
                )
            )
    return out


def _colors(found: Mapping[str, Any]) -> dict[str, int]:
    names = [n for n in _rows(found, "mm") if n not in _FLAT]
    return {name: number % 8 for number, name in enumerate(names)}


def _shares(found: Mapping[str, Any]) -> Html:
    colors = _colors(found)
    names = [name for name in _rows(found, "share") if name in colors]
    series = _series(found, "share", names, colors)
    title = "Share of the gap recovered: clean solid, occluded dashed"
    return curves(title, series, "samples N", log=True, x_ticks=_ticks(found), at=1.0)


def _errors(found: Mapping[str, Any]) -> Html:
    colors = _colors(found)
    series = _series(found, "mm", list(colors), colors)
    title = "Error in mm: clean solid, occluded dashed"
    values = [y for each in series for _, y in each.points]
    room = (0.9 * min(values), 1.03 * max(values))
    return curves(title, series, "samples N", log=True, x_ticks=_ticks(found), y_range=room)


def _ticks(found: Mapping[str, Any]) -> list[float]:
    sizes = [int(size) for size in found["clean"]]
    tens = [size for size in sizes if str(size).strip("0") == "1"]
    return sorted({sizes[0], *tens, sizes[-1]})


def _table(found: Mapping[str, Any], side: str) -> Html:
    values = found[side][main_size(found)]
    top = top_of([v for n, v in values["share"].items() if n in values["mm"]])
    rows = []
    for name in dict.fromkeys((*values["mm"], *values["share"])):
        error, share = values["mm"].get(name), values["share"].get(name)
        choice = name in values["mm"]  # else a difference of two
        shown = cell(share, top, color=COLORS[side]) if choice else interval(share)
        more = [interval(values[part].get(name)) for part in ("ndcg", "top1")]
        rows.append((name, interval(error, 2), shown, *more))
    return table(("", "error, mm", "share", "NDCG", "top-1"), rows, strong="ranked")


def _every(found: Mapping[str, Any], side: str) -> Html:
    names = _rows(found, "share")
    rows = [
        (f"N = {size}", *(interval(values["share"][name]) for name in names))
        for size, values in found[side].items()
    ]
    return table((side, *names), rows)


def findings(found: Mapping[str, Any]) -> list[Finding]:
    """What the shares say, in sentences."""
    size = main_size(found)
    said = []
    for name in [n for n in _rows(found, "share") if n not in _rows(found, "mm")]:
        one, _, other = name.partition(" - ")
        parts = []
        for side in SIDES:
            value = found[side][size]["share"][name]
            told = verdict(value, 0, "worse", "no difference can be told", "better")
            parts.append(f"{side} {words(value)} of the gap, {told}")
        text = f"{one.capitalize()} against {other}: {'; '.join(parts)}."
        said.append(Finding(f"Choice among {size}", text))
    return said

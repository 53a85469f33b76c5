"""Curves, dots and bars as inline SVG. Colours are classes (`c0` ...), which the page's style sets.

An estimate is a mapping with 'value', 'low' and 'high'. A series is a `Series`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ofer_jax.evaluation_page.html import Html, el

COLORS = 8  # the style has so many
_WIDTH, _HEIGHT = 440, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 40


@dataclass(frozen=True)
class Series:
    """Points (x, y) of a curve, or of dots in rows (y is then the number of the row)."""

    name: str
    points: Sequence[tuple[float, float]]
    color: int = 0
    dashed: bool = False
    band: Sequence[tuple[float, float]] = ()  # low and high at each point
    shown: bool = True  # in the legend


@dataclass(frozen=True)
class Axis:
    """Numbers to places on the picture."""

    low: float
    high: float
    start: float  # place of `low`
    end: float
    log: bool = False
    ticks: Sequence[float] = field(default_factory=tuple)

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return round(self.start + (self.end - self.start) * (at - low) / ((high - low) or 1), 2)


def bar(value: Mapping[str, float], top: float, *, color: int = 0, at: float | None = 1.0) -> Html:
    """An estimate on a line from 0 to `top`: a dot, its interval, and a mark at `at`."""
    place = Axis(0.0, top, 6, 134)
    low, high, dot = (place(value[name]) for name in ("low", "high", "value"))
    mark = None
    if at is not None and 0 <= at <= top:
        mark = el("line", x1=place(at), x2=place(at), y1=1, y2=15, class_="mark")
    return el(
        "svg",
        el("line", x1=6, x2=134, y1=8, y2=8, class_="track"),
        mark,
        el("line", x1=low, x2=max(high, low + 0.5), y1=8, y2=8, class_=f"interval c{color}"),
        el("circle", cx=dot, cy=8, r=3.6, class_=f"dot c{color}"),
        viewBox="0 0 140 16",
        preserveAspectRatio="xMinYMid",
        class_="bar",
        aria_hidden="true",
    )


def curves(
    title: str,
    series: Sequence[Series],
    x_title: str,
    *,
    log: bool = False,
    x_ticks: Sequence[float] = (),
    y_range: tuple[float, float] | None = None,
    at: float | None = None,
) -> Html:
    """Curves with axes and a legend; `at` draws a line across."""
    xs = [x for each in series for x, _ in each.points]
    x_axis = Axis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT, log, x_ticks or steps(min(xs), max(xs)))
    ys = [y for each in series for _, y in each.points if math.isfinite(y)]
    low, high = y_range or _room(ys)
    y_axis = Axis(low, high, _HEIGHT - _BOTTOM, _TOP, ticks=steps(low, high))
    drawn = [_frame(x_axis, y_axis, x_title)]
    if at is not None and low <= at <= high:
        drawn.append(_across(y_axis(at)))
    drawn += [_band(each, x_axis, y_axis) for each in series if each.band]
    drawn += [_curve(each, x_axis, y_axis) for each in series]
    picture = el("svg", drawn, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=title)
    return _figure(title, picture, series)


def dots(
    title: str,
    rows: Sequence[str],
    series: Sequence[Series],
    x_title: str,
    *,
    x_range: tuple[float, float] | None = None,
    at: Sequence[float] = (),
) -> Html:
    """Dots in named rows, the first at the top; `at` draws lines down."""
    height = _TOP + 24 * len(rows) + _BOTTOM
    left = 16 + round(7.6 * max(len(short(row)) for row in rows))
    xs = [x for each in series for x, _ in each.points if math.isfinite(x)]
    low, high = x_range or _room([*xs, *at])
    x_axis = Axis(low, high, left, _WIDTH - _RIGHT, ticks=steps(low, high))
    drawn = [_scale(x_axis, height - _BOTTOM, x_title)]
    for number, row in enumerate(rows):
        y = _TOP + 24 * number + 12
        drawn.append(el("line", x1=left, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        name = el("text", short(row), el("title", row), x=left - 8, y=y + 4, text_anchor="end")
        drawn.append(name)
    ends = {"y1": _TOP, "y2": height - _BOTTOM, "class_": "mark"}
    drawn += [el("line", x1=x_axis(x), x2=x_axis(x), **ends) for x in at if low <= x <= high]
    for each in series:
        for x, row in each.points:
            if math.isfinite(x):
                look = f"{'ring' if each.dashed else 'dot'} c{each.color}"
                place = {"cx": x_axis(x), "cy": _TOP + 24 * row + 12}
                drawn.append(Html(el("circle", **place, r=4.5, class_=look)))
    picture = el("svg", drawn, viewBox=f"0 0 {_WIDTH} {height}", role="img", aria_label=title)
    return _figure(title, picture, series, rings=True)


def short(text: str, most: int = 22) -> str:
    """The beginning of a long name."""
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def steps(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, at most about `most`."""
    width = max(high - low, 1e-9) / most
    unit = 10.0 ** math.floor(math.log10(width))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= width * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _room(values: Sequence[float]) -> tuple[float, float]:
    """A range that holds the values and 0, with some room above."""
    top, bottom = max([0.0, *values]), min([0.0, *values])
    room = 0.06 * (top - bottom) or 1.0
    return (bottom - room if bottom < 0 else 0.0), top + room


def _number(value: float) -> str:
    return f"{value:,.6g}" if abs(value) > 1e-9 else "0"


def _frame(x_axis: Axis, y_axis: Axis, x_title: str) -> Html:
    drawn = [_scale(x_axis, y_axis.start, x_title)]
    for tick in y_axis.ticks:
        y = y_axis(tick)
        drawn.append(el("line", x1=x_axis.start, x2=x_axis.end, y1=y, y2=y, class_="grid"))
        where = {"x": x_axis.start - 7, "y": y + 4, "text_anchor": "end"}
        drawn.append(el("text", _number(tick), **where))
    return el("g", drawn)


def _scale(axis: Axis, y: float, title: str) -> Html:
    drawn = [el("line", x1=axis.start, x2=axis.end, y1=y, y2=y, class_="axis")]
    for tick in axis.ticks:
        x = axis(tick)
        drawn.append(el("line", x1=x, x2=x, y1=y, y2=y + 4, class_="axis"))
        drawn.append(el("text", _number(tick), x=x, y=y + 17, text_anchor="middle"))
    middle = (axis.start + axis.end) / 2
    drawn.append(el("text", title, x=middle, y=y + 34, text_anchor="middle", class_="title"))
    return el("g", drawn)


def _across(y: float) -> Html:
    return el("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="mark")


def _curve(series: Series, x_axis: Axis, y_axis: Axis) -> Html:
    there = [(x_axis(x), y_axis(y)) for x, y in series.points if math.isfinite(y)]
    path = "M" + "L".join(f"{x} {y}" for x, y in there) if there else ""
    look = f"curve c{series.color}{' dashed' if series.dashed else ''}"
    return el("path", el("title", series.name), d=path, class_=look)


def _band(series: Series, x_axis: Axis, y_axis: Axis) -> Html:
    pairs = [
        (x_axis(x), y_axis(low), y_axis(high))
        for (x, _), (low, high) in zip(series.points, series.band, strict=True)
        if math.isfinite(low) and math.isfinite(high)
    ]
    around = [(x, high) for x, _, high in pairs] + [(x, low) for x, low, _ in reversed(pairs)]
    corners = " ".join(f"{x},{y}" for x, y in around)
    return el("polygon", points=corners, class_=f"band c{series.color}")


def _figure(title: str, picture: Html, series: Sequence[Series], *, rings: bool = False) -> Html:
    """A chart under its title and above its legend."""
    keys = []
    for each in series:
        if each.shown:
            look = f"key c{each.color}" + (" open" if each.dashed else "")
            look += " round" if rings else ""
            keys.append(el("li", el("i", class_=look), each.name))
    legend = el("ul", keys, class_="legend")
    return el("figure", el("figcaption", title), picture, legend, class_="chart")

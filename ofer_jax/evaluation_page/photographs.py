"""Photographs without ground truth (`photo_checks.report`): consistency and reprojection."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ofer_jax.evaluation_page import thumbnails
from ofer_jax.evaluation_page.estimates import Finding, cell, percent, top_of, words
from ofer_jax.evaluation_page.html import Html, charts, el, interval, lead, notes, section, table
from ofer_jax.evaluation_page.svg import Series, dots
from ofer_jax.photo_checks.report import NOTES, ROWS
from ofer_jax.quality import caveats

TITLE = "Photographs"
SHOWN = 24  # photographs of a chart: the worst ones, if there are more


def build(found: Mapping[str, Any], pictures: Mapping[str, str] | None = None) -> Html:
    """The part of the page; `pictures` as `thumbnails.of` makes them."""
    count, lost = len(found["photographs"]), len(found["no face"])
    without = f" ({lost} more have no face that was found)" if lost else ""
    again = found["reprojection"]
    return section(
        "photos",
        TITLE,
        found.get("command", ""),
        lead(
            f"{count} photographs{without}, no ground truth: does the answer stay the same when "
            "the picture changes but for the face, and does it explain the picture's points?"
        ),
        charts(_stability(found), _points(again)),
        thumbnails.build(found, pictures or {}),
        el("h3", "Consistency"),
        _consistency(found["consistency"]),
        el("h3", "How far the answers for different photographs differ"),
        _spread(found["consistency"]),
        el("h3", "Reprojection on the photographs"),
        _reprojection(again),
        _known(found.get("held-out pictures")),
        notes(NOTES, *caveats(found)),
    )


def _consistency(figures: Mapping[str, Any]) -> Html:
    rows = []
    for number, (key, name) in enumerate(ROWS.items()):
        own = figures[key]
        rows.append((f"{name}: all", cell(own["area"], 1.0, color=number, at=0.5), *[""] * 3))
        for variant, values in own["variants"].items():
            area = cell(values["area"], 1.0, color=number, at=0.5)
            means = [_number(values[part]) for part in ("same_mm", "other_mm", "first")]
            rows.append((f"{name}: {variant}", area, *means))
    return table(("", "area", "same, mm", "other, mm", "first"), rows)


def _spread(figures: Mapping[str, Any]) -> Html:
    values = {name: figures[key]["spread"] for key, name in ROWS.items()}
    top = top_of(values.values())
    rows = [(name, cell(v, top, color=i)) for i, (name, v) in enumerate(values.items())]
    return table(("", "spread, as a share of the held-out heads'"), rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _reprojection(figures: Mapping[str, Any]) -> Html:
    if not figures["photographs"]:
        return el("p", "No photograph in which the detector is sure of a face.")
    top = top_of([values["ratio"] for values in figures["rows"].values()])
    rows = [
        (name, interval(values["percent"], 2), cell(values["ratio"], top))
        for name, values in figures["rows"].items()
    ]
    head = ("", "% of the eye distance", "ratio to the mean face")
    return table(head, rows, strong="truth")


def _known(figures: Mapping[str, Any] | None) -> list[Html]:
    if figures is None or not figures["photographs"]:
        return []
    title = f"The same on {figures['photographs']} pictures of heads whose form is known"
    return [el("h3", title), _reprojection(figures)]


def _stability(found: Mapping[str, Any]) -> Html:
    """How far each photograph's answer moves with each variant."""
    names, own = found["photographs"], found["consistency"]["mean"]
    each = np.array(list(own["same_mm"].values()), float)
    worst = np.argsort(-np.nan_to_num(each).max(0), kind="stable")[:SHOWN]
    series = [
        Series(variant, [(values[i], row) for row, i in enumerate(worst)], number)
        for number, (variant, values) in enumerate(own["same_mm"].items())
    ]
    others = [v["other_mm"] for v in own["variants"].values() if v["other_mm"] is not None]
    title = "How far a changed photograph's face moves; the mark: other photographs, mean"
    mean = [float(np.mean(others))] if others else []
    return dots(title, [names[i] for i in worst], series, "mm", at=mean)


def _points(again: Mapping[str, Any]) -> Html | None:
    if not again["photographs"]:
        return None
    names = again["of"]
    worst = np.argsort(-np.max(list(again["percent"].values()), axis=0))[:SHOWN]
    series = [
        Series(name, [(values[i], row) for row, i in enumerate(worst)], number, number == 0)
        for number, (name, values) in enumerate(again["percent"].items())
    ]
    title = "Error on the points left out"
    return dots(title, [names[i] for i in worst], series, "% of the eye distance")


def findings(found: Mapping[str, Any]) -> list[Finding]:
    """What the figures say, in sentences."""
    own = found["consistency"]["mean"]
    text = (
        "A changed photograph gives a nearer face than another photograph in "
        f"{percent(own['area'])} of the pairs; the answers differ by "
        f"{words(own['spread'])} of what held-out heads differ."
    )
    said = [Finding("Photographs", text)]
    ratios = {name: row["ratio"] for name, row in found["reprojection"].get("rows", {}).items()}
    known = found.get("held-out pictures", {}).get("rows", {})
    if ROWS["mean"] in ratios:
        ratio = words(ratios[ROWS["mean"]])
        text = (
            f"On points left out of the fit the mean of the samples has {ratio} of the mean "
            "face's error"
        )
        if "truth" in known:
            truth = words(known["truth"]["ratio"])
            text += f". The measure's limit: where the form is known, the true head has {truth}"
        said.append(Finding("Reprojection", f"{text}."))
    return said

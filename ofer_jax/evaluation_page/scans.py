"""Distances to scans, NoW and Stirling/ESRC (`now.benchmark`): table and cumulative curve."""

from collections.abc import Mapping
from typing import Any

from ofer_jax.evaluation_page.estimates import Finding, cell, top_of, words
from ofer_jax.evaluation_page.html import Html, charts, interval, lead, notes, section, table
from ofer_jax.evaluation_page.svg import Series, curves

PREDICTION = "prediction"


def build(found: Mapping[str, Any], number: int = 0) -> Html:
    """The part of the page; `number` tells several apart."""
    name = f"scans-{number}" if number else "scans"
    title, _, detail = found["title"].partition(":")
    return section(
        name,
        title,
        found.get("command", ""),
        lead(detail.strip().capitalize() + "." if detail else ""),
        charts(_curve(found)),
        _table(found),
        notes(*found["notes"]),
    )


def _table(found: Mapping[str, Any]) -> Html:
    first, *more = found["figures"]
    every = [cells[first] for row in found["rows"].values() for cells in row.values()]
    top = top_of(every, least=0.1)
    rows = []
    for number, (name, row) in enumerate(found["rows"].items()):
        for challenge, cells in row.items():
            label = name if challenge == "all" else f"{name}, {challenge}"
            bar = cell(cells[first], top, color=number, at=None)
            rows.append((label, bar, *(interval(cells[figure]) for figure in more)))
    return table(("", *(f"{figure}, mm" for figure in found["figures"])), rows, strong=PREDICTION)


def _curve(found: Mapping[str, Any]) -> Html:
    series = [
        Series(name, [(mm, 100 * share) for mm, share in points], number % 8)
        for number, (name, points) in enumerate(found["curves"].items())
    ]
    title = "Share of the scans' vertices below each distance"
    return curves(title, series, "distance, mm", y_range=(0, 100))


def findings(found: Mapping[str, Any]) -> list[Finding]:
    """What the table says, in a sentence."""
    figure = found["figures"][0]
    rows = {name: row["all"][figure] for name, row in found["rows"].items()}
    own, label = rows[PREDICTION], found["title"].partition(":")[0]
    mean = next((value for name, value in rows.items() if name.startswith("mean face")), None)
    text = f"{figure.capitalize()} {words(own)} mm"
    if mean is None:
        return [Finding(label, text + ".")]
    how = "the intervals overlap"
    if own["high"] < mean["low"] or own["low"] > mean["high"]:
        how = f"the prediction is {'nearer' if own['high'] < mean['low'] else 'further off'}"
    return [Finding(label, f"{text}, the mean face {words(mean)} mm: {how}.")]

"""Occluded expressions (`occluded_expressions.report`): coverage, spread and error by region."""

from collections.abc import Mapping
from typing import Any

from ofer_jax.evaluate import SIDES
from ofer_jax.evaluation_page.estimates import (
    COLORS,
    Finding,
    cell,
    percent,
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
from ofer_jax.evaluation_page.svg import Series, dots
from ofer_jax.occluded_expressions.report import NOTES
from ofer_jax.quality import caveats

TITLE = "Occluded expressions"
KIND = "whole"  # the posed face, of which the charts are
_SHARES = {"in 50": 0.5, "in 90": 0.9}


def build(found: Mapping[str, Any]) -> Html:
    """The part of the page."""
    kinds = found["figures"]["clean"]
    return section(
        "expressions",
        f"{TITLE}, {found['protocol']}",
        found.get("command", ""),
        lead(
            f"{found['pictures']} pictures of {found['faces']} faces, each clean and behind one "
            "occluder: what of the face is hidden should become wider, and the truth should lie "
            "inside the samples' central regions as often as these say."
        ),
        charts(_coverage(found), _sizes(found)),
        el("h3", "Does the spread grow where the face is hidden?"),
        _growth(found),
        el("h3", "Are the samples plausible?"),
        _plausible(found),
        [folded(f"All figures: {kind}", _all(found, kind)) for kind in kinds],
        notes(NOTES, *caveats(found)),
    )


def _groups(found: Mapping[str, Any]) -> list[str]:
    there = found["figures"]["occluded"][KIND]
    return [group for group in found["groups"] if group in there]


def _coverage(found: Mapping[str, Any]) -> Html:
    groups = _groups(found)
    series = []
    for side in SIDES:
        for name in _SHARES:
            values = [found["figures"][side][KIND][group][name]["value"] for group in groups]
            points = [(100 * value, row) for row, value in enumerate(values)]
            series.append(
                Series(f"{side}, central {name[3:]} %", points, COLORS[side], name == "in 50")
            )
    title = "How often the truth lies in the samples' central 50 and 90 %"
    at = [100 * share for share in _SHARES.values()]
    return dots(title, groups, series, "% of the coordinates", x_range=(0, 100), at=at)


def _sizes(found: Mapping[str, Any]) -> Html:
    groups = _groups(found)
    series = []
    for side in SIDES:
        for name, told in (("spread", "spread"), ("closest", "error of the closest sample")):
            values = [found["figures"][side][KIND][group][name]["value"] for group in groups]
            points = [(value, row) for row, value in enumerate(values)]
            series.append(Series(f"{side}, {told}", points, COLORS[side], name == "closest"))
    return dots("Spread and error of the posed face", groups, series, "mm")


def _growth(found: Mapping[str, Any]) -> Html:
    rows = []
    for kind, values in found["growth"].items():
        if "share" in values:
            factors = [f"{values[name]:.3f}" for name in ("visible", "hidden")]
            share = cell(values["share"], 1.0, color=COLORS["occluded"], at=0.5)
            rows.append((kind, str(values["pictures"]), *factors, share))
    head = ("", "pictures", "visible grows by", "hidden grows by", "more on hidden")
    return table(head, rows)


def _plausible(found: Mapping[str, Any]) -> Html:
    rows = [
        (f"{side}: {name}", *(interval(value, 1) for value in values.values()))
        for side, kinds in found["plausibility"].items()
        for name, values in kinds.items()
    ]
    return table(("", "percentile", "above 95, %", "above 99, %"), rows)


def _all(found: Mapping[str, Any], kind: str) -> Html:
    first = next(iter(found["figures"]["clean"][kind].values()))
    columns = [name for name, value in first.items() if isinstance(value, Mapping)]
    rows = [
        (f"{side}: {group}", *(interval(values[name]) for name in columns))
        for side in SIDES
        for group, values in found["figures"][side][kind].items()
    ]
    return table(("", *columns), rows)


def findings(found: Mapping[str, Any]) -> list[Finding]:
    """What the figures say, in sentences."""
    said = []
    parts = []
    for side in SIDES:
        value = found["figures"][side][KIND].get("face", {}).get("in 90")
        if value:
            how = verdict(value, 0.9, "too narrow", "about right", "too wide")
            parts.append(f"{percent(value)} {side}, {how}")
    if parts:
        text = f"The samples' central 90 % hold the truth of posed faces in {'; '.join(parts)}."
        said.append(Finding("Coverage", text))
    growth = found["growth"].get(KIND, {})
    if "share" in growth:
        how = verdict(growth["share"], 0.5, "mostly not", "which cannot be told", "mostly")
        text = (
            f"Spread grows more on hidden than on visible vertices in {percent(growth['share'])} "
            f"of {growth['pictures']} pictures, {how}: by a factor of {growth['hidden']:.2f} "
            f"against {growth['visible']:.2f}."
        )
        said.append(Finding("Behind an occluder", text))
    hidden = [found["figures"][s][KIND].get("hidden", {}).get("closest") for s in SIDES]
    if all(hidden):
        clean, behind = (words(value) for value in hidden if value)
        text = (
            f"Where the face is hidden the closest sample errs by {behind} mm; clean, {clean} mm."
        )
        said.append(Finding("Hidden vertices", text))
    return said

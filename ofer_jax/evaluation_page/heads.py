"""The table of held-out heads (`quality.report`): identity, expressions, choice and calibration."""

from collections.abc import Mapping
from typing import Any

from ofer_jax.evaluate import SIDES
from ofer_jax.evaluation_page.estimates import (
    COLORS,
    Finding,
    cell,
    percent,
    top_of,
    verdict,
    words,
)
from ofer_jax.evaluation_page.html import Html, el, lead, notes, section, table
from ofer_jax.quality import NOTES, caveats

TITLE = "Held-out heads"
BASE = "mean face"
_EXPRESSION = "expression/"
_KNOWS = ("oracle", "expression/closest")  # rows of who knows the truth


def build(found: Mapping[str, Any]) -> Html:
    """The part of the page."""
    identity = [n for n in _rows(found) if not n.startswith(_EXPRESSION)]
    expression = [n for n in _rows(found) if n.startswith(_EXPRESSION)]
    return section(
        "heads",
        TITLE,
        found.get("command", ""),
        lead(
            f"{found['pictures']} pictures of {found['faces']} heads of the split "
            f"'{found['split']}', each clean and with part of the face hidden. Bars are ratios to "
            "the mean face's error, with their 95 % intervals; the dashed mark is 1, where the "
            "picture would not have helped."
        ),
        el("h3", "The neutral face"),
        _table(found, identity),
        el("h3", "The expression, on the true identity") if expression else None,
        _table(found, expression) if expression else None,
        el("h3", "Choice and calibration"),
        _single(found),
        notes(NOTES, *caveats(found)),
    )


def _rows(found: Mapping[str, Any]) -> list[str]:
    return [name for name, row in found["clean"].items() if "mm" in row]


def _table(found: Mapping[str, Any], names: list[str]) -> Html:
    every = [found[side][name]["ratio"] for side in SIDES for name in names]
    top = top_of(every)
    rows = []
    for name in names:
        cells = [
            cell(found[s][name]["ratio"], top, color=COLORS[s], mm=found[s][name]["mm"])
            for s in SIDES
        ]
        rows.append((_label(found, name), *cells))
    return table(("", *SIDES), rows, strong="ranked")


def _label(found: Mapping[str, Any], name: str) -> str:
    if name in _KNOWS:
        last = name.rpartition("/")[2]
        return f"{last} of {found['expressions' if '/' in name else 'samples']}"
    return name.removeprefix(_EXPRESSION)


def _single(found: Mapping[str, Any]) -> Html:
    """The rows without millimetres."""
    names = dict.fromkeys(n for s in SIDES for n, row in found[s].items() if "mm" not in row)
    rows = []
    for name in names:
        values = [found[side].get(name, {}).get("ratio") for side in SIDES]
        top = top_of(values)
        cells = [cell(v, top, color=COLORS[s]) for s, v in zip(SIDES, values, strict=True)]
        rows.append((name, *cells))
    return table(("", *SIDES), rows)


# ---------------------------------------------------------------- in words


def findings(found: Mapping[str, Any]) -> list[Finding]:
    """What the table says, in sentences."""
    said = []
    for name, label in (
        ("ranked", "Ranked sample"),
        ("mean of the samples", "Mean of the samples"),
    ):
        if name in found["clean"]:
            clean, hidden = (found[side][name]["ratio"] for side in SIDES)
            how = both(found, name, 1, "less", "no less, as far as can be told,", "more")
            text = (
                f"{words(clean)} of the mean face's error from a clean picture, {words(hidden)} "
                f"from an occluded one: {how}."
            )
            said.append(Finding(label, text))
    return [*said, *_nearest(found), *_gap(found), *_calibration(found)]


def both(found: Mapping[str, Any], name: str, limit: float, *told: str) -> str:
    """What the intervals of a row's ratios say of a limit, clean and occluded."""
    clean, hidden = (verdict(found[side][name]["ratio"], limit, *told) for side in SIDES)
    return f"{clean} in both" if clean == hidden else f"{clean} if clean, {hidden} if occluded"


def _nearest(found: Mapping[str, Any]) -> list[Finding]:
    told = []
    for side in SIDES:
        name = _least(found[side])
        ratio = found[side][name]["ratio"]["value"]
        told.append(f"{side} {name}, {ratio:.2f} of the mean face's")
    return [Finding("Least error", f"Of all that do not know the truth: {'; '.join(told)}.")]


def _least(rows: Mapping[str, Any]) -> str:
    open_to_all = {
        name: row["mm"]["value"]
        for name, row in rows.items()
        if "mm" in row and name not in _KNOWS and not name.startswith(_EXPRESSION)
    }
    return min(open_to_all, key=lambda name: open_to_all[name])


def _gap(found: Mapping[str, Any]) -> list[Finding]:
    gaps = [
        found[side]["recovered gap"]["ratio"] for side in SIDES if "recovered gap" in found[side]
    ]
    if len(gaps) < len(SIDES):
        return []
    clean, hidden = (percent(gap) for gap in gaps)
    text = (
        f"The ranker recovers {clean} of the gap between an average sample and the best of "
        f"{found['samples']}; {hidden} when part of the face is hidden."
    )
    return [Finding("Choice", text)]


def _calibration(found: Mapping[str, Any]) -> list[Finding]:
    said = []
    for side in SIDES:
        if "calibration" in found[side]:
            value = found[side]["calibration"]["ratio"]
            how = verdict(value, 1, "too sure", "as wide as they are wrong", "wider than wrong")
            said.append(f"{side} {words(value)}, {how}")
    if not said:
        return []
    wider = found["occluded"].get("wider than the clean twin")
    more = f" Hiding part of a face widens them in {percent(wider['ratio'])}." if wider else ""
    text = f"Variance of the samples / squared error: {'; '.join(said)}.{more}"
    return [Finding("Calibration", text)]

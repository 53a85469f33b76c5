"""The best and worst held-out heads (`head_cases`), as pictures with their figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from ofer_jax.evaluation_page.estimates import Finding
from ofer_jax.evaluation_page.html import Html, el, lead, notes, section

CAPTIONS = {
    "seen": "what was seen",
    "truth": "true head",
    "ranked": "ranked sample",
    "mean of the samples": "mean of the samples",
    "oracle": "best sample",
    "error": "error of the ranked",
}
GROUPS = {"best": "Best", "worst": "Worst"}


def build(found: Mapping[str, Any], command: str, caveats: Sequence[str] = ()) -> Html:
    """The part of the page.

    found: as `head_cases.draw` makes it; its pictures are WebP in base64.
    """
    top = found["scale_mm"]
    shown = [
        [el("h3", title), el("div", [_case(case) for case in found[name]], class_="cases")]
        for name, title in GROUPS.items()
        if found[name]
    ]
    return section(
        "cases",
        "Best and worst heads",
        command,
        lead(
            "Held-out heads ordered by the error of the ranked sample as a share of the mean "
            "face's, no head twice. All heads of a row share one camera."
        ),
        el(
            "p",
            "error of the ranked sample, mm",
            el("span", "0"),
            el("i"),
            el("span", f"{top:g}"),
            class_="heat",
        ),
        shown,
        notes(*caveats) if caveats else None,
    )


def _case(case: Mapping[str, Any]) -> Html:
    named = case["side"] == "occluded" and case["occluder"] not in ("", "drawn")
    hidden = f", {case['occluder']}" if named else ""
    facts = f"{case['side']}{hidden}; the mean face errs by {case['mm']['mean face']:.2f} mm"
    return el(
        "article",
        el(
            "header",
            el("b", f"Head {case['subject']}"),
            el("span", f"ranked / mean face {case['ratio']:.2f}"),
            el("span", facts),
        ),
        el(
            "div",
            [_tile(case, name) for name in CAPTIONS if name in case["pictures"]],
            class_="strip",
        ),
        class_="case",
    )


def _tile(case: Mapping[str, Any], name: str) -> Html:
    mm = case["mm"].get(name)
    size = el("small", f"{mm:.2f} mm") if mm is not None else None
    source = f"data:image/webp;base64,{case['pictures'][name]}"
    words = f"Head {case['subject']}: {CAPTIONS[name]}"
    image = el("img", src=source, alt=words)
    return el("figure", image, el("figcaption", CAPTIONS[name], size))


def findings(found: Mapping[str, Any]) -> list[Finding]:
    """How far the worst is from the best."""
    if not (found["best"] and found["worst"]):
        return []
    best, worst = found["best"][0], found["worst"][0]
    text = (
        f"The ranked sample's error goes from {best['ratio']:.2f} of the mean face's "
        f"({best['side']}) to {worst['ratio']:.2f} ({worst['side']})."
    )
    return [Finding("From head to head", text)]

"""All parts as one page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ofer_jax.evaluation_page import choice, heads, hidden, photographs, pictures, scans
from ofer_jax.evaluation_page.estimates import Finding
from ofer_jax.evaluation_page.html import Html, el
from ofer_jax.evaluation_page.style import STYLE
from ofer_jax.quality import caveats

PARTS: dict[str, Any] = {
    "heads": heads,
    "ranking": choice,
    "expressions": hidden,
    "photos": photographs,
    "scans": scans,
}


class Found(NamedTuple):
    """A report of one of the commands of `launch.evaluate`, as it was read."""

    kind: str  # of PARTS, by `kind`
    report: Mapping[str, Any]
    source: str = ""  # named where it turns out to be none
    # Pictures: of `head_cases` beside one of kind 'heads', of `thumbnails` to one of 'photos'.
    cases: Mapping[str, Any] | None = None


class Part(NamedTuple):
    """A part of the page: its anchor, its title in the bar, itself, and what it says in words."""

    name: str
    title: str
    body: Html
    findings: list[Finding]


def kind(report: Any) -> str:
    """Which command made a report; '' if none of those known."""
    if not isinstance(report, Mapping):
        return ""
    for name, mark in (("photos", "consistency"), ("expressions", "growth"), ("scans", "curves")):
        if mark in report:
            return name
    clean = report.get("clean")
    if not isinstance(clean, Mapping) or not clean:
        return ""
    return "ranking" if all(key.isdigit() for key in clean) else "heads"


def write(
    found: Sequence[Found],
    about: Mapping[str, str],
    told: Callable[[str], str] = lambda command: command,
) -> str:
    """The HTML of a page, which asks for nothing from elsewhere.

    Args:
      found: what there is, in any order; at most one of each kind but of 'scans'.
      about: what else stands at the top, by its label; 'command' below.
      told: how commands are shown.

    Raises:
      ValueError: nothing found, one that is damaged, two of a kind, or figures of several bundles
        or heads.
    """
    _check(found)
    found = [f._replace(report={**f.report, "command": told(_command(f))}) for f in found]
    parts = _parts(found)
    title = f"Evaluation on {found[0].report['head']['name']}"
    told_once = [el("p", text, class_="caveat") for text in caveats(found[0].report)]
    said = [[el("dt", f.label), el("dd", f.text)] for part in parts for f in part.findings]
    body = el(
        "main",
        el("p", "ofer-jax evaluation", class_="eyebrow"),
        el("h1", "How good are the faces?"),
        el("p", title, class_="lead"),
        _facts(found, about),
        el("div", el("h2", "What it says"), el("dl", said), class_="findings") if said else None,
        told_once,
        el("nav", [el("a", p.title, href=f"#{p.name}") for p in parts], aria_label="Parts"),
        [part.body for part in parts],
        _footer(told(about.get("command", ""))),
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("style", Html(STYLE)),
    )
    return f"<!doctype html>\n{el('html', head, el('body', body), lang='en')}\n"


def _parts(found: Sequence[Found]) -> list[Part]:
    order = list(PARTS)
    parts, scan = [], 0
    for each in sorted(found, key=lambda f: order.index(f.kind)):
        module, report = PARTS[each.kind], each.report
        if each.kind == "scans":
            title = report["title"].partition(":")[0]
            made = _made(each, lambda n=scan, r=report: scans.build(r, n), scans.findings)
            parts.append(Part(f"scans-{scan}" if scan else "scans", title, *made))
            scan += 1
        else:
            given = (report, each.cases) if each.kind == "photos" else (report,)
            made = _made(each, lambda m=module, g=given: m.build(*g), module.findings)
            parts.append(Part(each.kind, module.TITLE, *made))
        if each.cases and each.kind == "heads":
            cases, command = each.cases, report.get("command", "")
            drawn = _made(
                each._replace(report=cases),
                lambda c=cases, t=command, r=report: pictures.build(c, t, caveats(r)),
                pictures.findings,
            )
            parts.append(Part("cases", "Best and worst", *drawn))
    return parts


def _made(
    each: Found, build: Callable[[], Html], findings: Callable[[Any], list[Finding]]
) -> tuple[Html, list[Finding]]:
    try:
        return build(), findings(each.report)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise ValueError(
            f"{each.source or each.kind} is damaged or of another version ({error!r}); "
            "measure again"
        ) from None


def _check(found: Sequence[Found]) -> None:
    if not found:
        raise ValueError("a page needs one report or more")
    kinds = [each.kind for each in found if each.kind != "scans"]
    if twice := {name for name in kinds if kinds.count(name) > 1}:
        raise ValueError(f"two reports of {', '.join(sorted(twice))}; a page holds one")
    of: dict[str, dict[str, str]] = {"bundle": {}, "head": {}}
    for each in found:
        head = each.report.get("head")
        known = head if isinstance(head, Mapping) else {}
        if not all(isinstance(known.get(name), str) for name in ("name", "sha256")):
            raise ValueError(f"{each.source or each.kind} does not tell its head; measure again")
        of["head"][known["sha256"]] = each.source
        if "bundle" in each.report:
            of["bundle"][str(each.report["bundle"])] = each.source
    for name, sources in of.items():
        if len(sources) > 1:
            listed = ", ".join(f"{value[:12]} ({source})" for value, source in sources.items())
            raise ValueError(f"the reports are of several {name}s: {listed}; make a page for each")


def _facts(found: Sequence[Found], about: Mapping[str, str]) -> Html:
    """Head, bundle, data, how many faces, seed: what the reports say of themselves."""
    head = found[0].report["head"]
    told: dict[str, Any] = {"Head": [head["name"], el("small", head["sha256"][:12])]}
    seen = {"bundle": "Bundle", "faces": "Held-out faces", "samples": "Samples", "seed": "Seed"}
    for key, label in seen.items():
        values = {str(f.report[key]): None for f in found if key in f.report}
        if values:
            told[label] = ", ".join(v[:12] for v in values)
    told |= {label: text for label, text in about.items() if label != "command"}
    return el("dl", [el("div", el("dt", k), el("dd", v)) for k, v in told.items()], class_="facts")


def _footer(command: str) -> Html:
    made = [el("p", "This page:"), el("pre", el("code", command), class_="command")]
    return el("footer", made if command else None)


def _command(found: Found) -> str:
    return str(found.report.get("command", ""))

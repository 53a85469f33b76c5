"""HTML as nested function calls. All text is escaped unless it is `Html` already."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

VOID = {"br", "img", "meta"}  # elements without an end


class Html(str):
    """Text that is HTML, and is not escaped again."""


def el(tag: str, *children: Any, **attributes: Any) -> Html:
    """An element. Children: text, `Html`, or lists of either; None is left out.

    Attributes: `class_` is class, `data_x` is data-x; None leaves one out.
    """
    given = {name.rstrip("_").replace("_", "-"): v for name, v in attributes.items()}
    told = "".join(f' {n}="{html.escape(str(v))}"' for n, v in given.items() if v is not None)
    end = "" if tag in VOID else f"{join(children)}</{tag}>"
    return Html(f"<{tag}{told}>{end}")


def join(children: Iterable[Any]) -> Html:
    """Children of an element, one after the other."""
    return Html("".join(_text(child) for child in children))


def _text(child: Any) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, list | tuple):
        return join(child)
    return html.escape(str(child))


# ---------------------------------------------------------------- pieces of the page


def section(name: str, title: str, command: str, *body: Any) -> Html:
    """A part of the page, with the command that made its figures."""
    made = el("pre", el("code", command), class_="command") if command else None
    return el("section", el("h2", title), list(body), made, id=name)


def lead(text: str) -> Html:
    """What a part is about, in a sentence or two."""
    return el("p", text, class_="lead")


def notes(*texts: str) -> Html:
    """What one has to know to read the figures."""
    return el("div", [el("p", " ".join(text.split())) for text in texts], class_="notes")


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]], *, strong: str = "") -> Html:
    """A table that becomes a list of its rows on a narrow screen; the row `strong` is marked."""
    names = [el("th", name, scope="col") for name in head]
    body = [
        el(
            "tr",
            el("th", row[0], scope="row"),
            [el("td", c, data_label=h) for h, c in zip(head[1:], row[1:], strict=True)],
            class_="strong" if strong and row[0] == strong else None,
        )
        for row in rows
    ]
    return el("table", el("thead", el("tr", names)), el("tbody", body))


def folded(title: str, *body: Any) -> Html:
    """Something to unfold; what is wider than the screen scrolls inside."""
    inner = el("div", list(body), class_="scroll")
    return el("details", el("summary", title), inner)


def charts(*figures: Html | None) -> Html:
    """Figures side by side where there is room."""
    return el("div", list(figures), class_="charts")


def interval(value: Mapping[str, float] | None, digits: int = 3) -> Html | str:
    """An estimate with its interval, as text."""
    if value is None:
        return ""
    low, high = (f"{value[end]:.{digits}f}" for end in ("low", "high"))
    told = el("b", f"{value['value']:.{digits}f}"), " ", el("small", f"[{low}, {high}]")
    return el("span", *told)

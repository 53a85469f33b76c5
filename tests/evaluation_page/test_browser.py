"""The page in a headless Chromium, where this machine has one."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ofer_jax import evaluation_page as page
from tests import made_up_reports as made_up
from tests.browser import Browser, find

WIDTHS = (1200, 900, 800, 400)
LONG = "a-photograph-with-a-very-long-name-that-has-no-space-to-break-at.jpg"
pytestmark = pytest.mark.skipif(find() is None, reason="needs Chromium on the PATH")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    found = made_up.every()
    photos = made_up.photographs([LONG, "b.jpg", "c.jpg"])
    photos["command"] = f"python -m launch.evaluate photos {LONG * 3}"
    found = [f._replace(report=photos) if f.kind == "photos" else f for f in found]
    path.write_text(page.write(found, {"Data": LONG, "command": "python"}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find()
    assert program
    with Browser(program) as made:
        yield made


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(
    browser: Browser, shown: Path, width: int, scheme: str
) -> None:
    browser.open(shown, width, scheme)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.value("innerWidth") == width
    assert browser.value("document.documentElement.scrollWidth") == width
    # Nor is anything cut off, but in the boxes that scroll on purpose.
    wide = """[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll')
        && !e.closest('svg') && e.getBoundingClientRect().right > innerWidth + 1).length"""
    assert browser.value(wide) == 0


@pytest.mark.parametrize("width", [1200, 400])
def test_the_schemes_differ_and_text_stands_out(browser: Browser, shown: Path, width: int) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        browser.open(shown, width, scheme)
        picture = np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("L"), float)
        grounds.append(float(np.median(picture)))
        ink = browser.value("getComputedStyle(document.body).color")
        text = np.mean([int(part) for part in ink[ink.index("(") + 1 : -1].split(",")])
        assert abs(text - grounds[-1]) > 150
        assert picture.shape[0] > 3000  # all of the page
    assert grounds[0] > 230 and grounds[1] < 60


def test_pictures_are_drawn_and_nothing_is_asked_for_or_complained_of(
    browser: Browser, shown: Path
) -> None:
    browser.events.clear()
    browser.open(shown, 1200, "light")
    drawn = "[...document.images].map(i => i.complete && i.naturalWidth)"
    assert browser.value(drawn) == [8] * 12
    seen = "[...document.querySelectorAll('svg')].every(s => s.getBoundingClientRect().width > 60)"
    assert browser.value(seen)
    asked = [e["request"]["url"] for e in browser.named("Network.requestWillBeSent")]
    assert {url for url in asked if not url.startswith("data:")} == {shown.resolve().as_uri()}
    troubles = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert browser.named(*troubles) == []


def test_on_a_phone_cells_are_named(browser: Browser, shown: Path) -> None:
    browser.open(shown, 400, "light")
    first = "document.querySelector('#heads td')"
    assert browser.value(f"getComputedStyle({first}, '::before').content") == '"clean"'
    assert browser.value(f"getComputedStyle({first}).display") == "grid"
    browser.open(shown, 1200, "light")
    assert browser.value(f"getComputedStyle({first}).display") == "table-cell"

"""The page of made-up reports: what is on it, what is not, and that nothing on it is believed."""

import html.parser
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from ofer_jax import evaluation_page as page
from ofer_jax.evaluation_page import Found
from tests import made_up_reports as made_up

HOSTILE = '<script>alert("1")</script>.jpg'


class Parsed(html.parser.HTMLParser):
    """Tags with their attributes, ids, and the text outside of the style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("br", "img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def ids(self) -> list[str]:
        return [values["id"] or "" for _, values in self.tags if "id" in values]


@pytest.fixture(scope="module")
def text() -> str:
    return page.write(made_up.every(), {"Data": "openhead", "command": "python -m launch.evaluate"})


def write(*reports: dict, **about: str) -> str:
    return page.write([Found(page.kind(each), each) for each in reports], about)


def test_every_part_is_there_with_its_command(text: str) -> None:
    parsed = Parsed(text)
    assert not parsed.open  # every element is closed
    parts = ["heads", "cases", "ranking", "expressions", "photos", "scans"]
    assert parsed.ids() == parts
    linked = [v["href"] for tag, v in parsed.tags if tag == "a"]
    assert linked == [f"#{name}" for name in parts]
    bodies = re.findall(r"<section.*?</section>", text, re.DOTALL)
    for name, body in zip(parts, bodies, strict=True):
        word = {"cases": "heads", "scans": "now"}.get(name, name)
        assert f"python -m launch.evaluate {word} " in body


def test_the_page_asks_for_nothing(text: str) -> None:
    for tag, values in Parsed(text).tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        assert not any(name.startswith("on") for name in values)
        if "src" in values:
            assert (values["src"] or "").startswith("data:image/webp;base64,")
    assert "url(" not in text and "@import" not in text and "http" not in text


def test_the_head_line_tells_head_bundle_data_faces_and_seed(text: str) -> None:
    facts = re.search(r'<dl class="facts">.*?</dl>', text, re.DOTALL)
    assert facts
    told = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", facts[0]))
    assert told["Head"].startswith("open-head-1") and "c" * 12 in told["Head"]
    assert told["Bundle"] == "b" * 12 and told["Data"] == "openhead"
    assert (told["Held-out faces"], told["Samples"], told["Seed"]) == ("6", "20", "0")


def test_the_caveat_is_said_of_the_open_head_alone(text: str) -> None:
    parts = re.findall(r"<section.*?</section>", text, re.DOTALL)
    said = ["artist's head space, not scans" in Parsed(part).text for part in parts]
    assert said == [True] * 5 + [False]  # what is measured against scans is against scans
    assert "artist's head space" in Parsed(text[: text.index("<section")] + "</main>").text
    other = made_up.heads() | {"head": {**made_up.HEAD, "name": "generic_model"}}
    assert "artist" not in Parsed(write(other)).text


def test_parts_without_a_report_are_left_out() -> None:
    parsed = Parsed(write(made_up.choice()))
    assert parsed.ids() == ["ranking"]
    assert "Photographs" not in parsed.text and "NoW" not in parsed.text


def test_several_evaluations_against_scans_stand_side_by_side() -> None:
    stirling = made_up.scans("Stirling/ESRC, metrical: 2 pictures of 2 people")
    parsed = Parsed(write(made_up.scans(), stirling))
    assert parsed.ids() == ["scans", "scans-1"] and "Stirling/ESRC, metrical" in parsed.text


def test_text_of_a_report_is_never_believed() -> None:
    photos = made_up.photographs([HOSTILE, "b.jpg", "c.jpg"])
    photos["command"] = f"python -m launch.evaluate photos '{HOSTILE}'"
    text = page.write([Found("photos", photos)], {"Data": HOSTILE, "command": HOSTILE})
    parsed = Parsed(text)
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert HOSTILE in parsed.text  # and still told as it is


def test_colours_follow_the_readers_scheme(text: str) -> None:
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    light, dark = style[1].split("@media (prefers-color-scheme: dark)")
    dark = dark.split("}")[0]
    names = set(re.findall(r"(--\w+):", light))
    assert names == set(re.findall(r"(--\w+):", dark))
    for name in names:
        values = [re.search(rf"{name}: (\S+);", each) for each in (light, dark)]
        assert values[0] and values[1] and values[0][1] != values[1][1]
    used = set(re.findall(r"var\((--\w+)\)", style[1]))
    assert used - {"--own"} <= names


def test_curves_and_bars_lie_within_their_pictures(text: str) -> None:
    for box, body in re.findall(r'<svg[^>]*viewBox="0 0 ([\d ]+)"[^>]*>(.*?)</svg>', text):
        width, height = map(float, box.split())
        xs = [float(x) for x in re.findall(r' (?:x1|x2|cx)="(-?[\d.]+)"', body)]
        ys = [float(y) for y in re.findall(r' (?:y1|y2|cy)="(-?[\d.]+)"', body)]
        for corner in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", body):
            xs.append(float(corner[0]))
            ys.append(float(corner[1]))
        assert all(0 <= x <= width for x in xs) and all(0 <= y <= height for y in ys)
        assert "nan" not in body


def test_photographs_are_shown_from_the_steadiest_to_the_least_steady(tmp_path: Path) -> None:
    names = [f"{letter}.jpg" for letter in "abcdef"]
    for number, name in enumerate(names[:5]):  # the last has gone
        Image.new("RGB", (300, 200), (40 * number, 0, 0)).save(tmp_path / name)
    report = made_up.photographs(names)
    moved = report["consistency"]["mean"]["same_mm"]["dimmed"]
    moved[:] = [float("nan"), 0.4, 0.2, 0.3, 0.1, 0.5]  # in the first no face was found again
    (found,) = page.illustrated([Found("photos", report)], str(tmp_path))
    assert found.cases and set(found.cases) == set(names[:5])
    parsed = Parsed(page.write([found], {}))
    shown = [values["alt"] for tag, values in parsed.tags if tag == "img"]
    assert shown == ["e.jpg", "c.jpg", "b.jpg", "d.jpg"]
    assert "moves by 0.40\N{NO-BREAK SPACE}mm" in parsed.text and "Least steady" in parsed.text


# ---------------------------------------------------------------- what it says


def findings(report: dict) -> str:
    found = re.search(r'<div class="findings">.*?</div>', write(report), re.DOTALL)
    assert found
    return Parsed(found[0]).text


def test_sentences_follow_the_figures() -> None:
    assert "occluded one: less in both." in findings(made_up.heads(ranked=0.001))
    assert "occluded one: more in both." in findings(made_up.heads(ranked=0.003))
    assert "no less, as far as can be told" in findings(made_up.heads(ranked=0.002))
    least = "Of all that do not know the truth: clean mean of the samples, 0.4"
    assert least in findings(made_up.heads(ranked=0.001))
    assert least.replace("mean of the samples, 0.4", "ranked, 0.1") in findings(
        made_up.heads(ranked=0.0003)
    )
    assert "too sure" in findings(made_up.heads(calibration=0.5))
    assert "wider than wrong" in findings(made_up.heads(calibration=1.5))


def test_every_pair_that_was_compared_is_told() -> None:
    report = made_up.choice()
    told = findings(report)
    assert "Ranked against nearest to the mean: clean" in told
    assert f"Ranked against {made_up.RIVAL}: clean" in told
    share = report["occluded"]["100"]["share"]["ranked - nearest to the mean"]
    share.update(value=0.2, low=0.1, high=0.3)
    assert "occluded 0.20 (0.10 to 0.30) of the gap, better." in findings(report)


def test_a_report_without_a_regressor_or_a_ranked_row_is_told_all_the_same() -> None:
    report = made_up.heads()
    for side in ("clean", "occluded"):
        del report[side]["ranked"], report[side]["recovered gap"]
    assert "Mean of the samples" in findings(report)
    assert "Ranked sample" not in findings(report)


# ---------------------------------------------------------------- what is refused


def test_reports_that_do_not_belong_together_are_refused() -> None:
    other = made_up.choice() | {"bundle": "d" * 64}
    with pytest.raises(ValueError, match=r"several bundles: b+ .*d+"):
        write(made_up.heads(), other)
    with pytest.raises(ValueError, match=r"several heads: c+ .*e+"):
        write(made_up.heads(), made_up.choice() | {"head": {"name": "x", "sha256": "e" * 64}})
    for head in (None, {}, {"name": 3, "sha256": "c"}):
        with pytest.raises(ValueError, match="heads does not tell its head"):
            write(made_up.heads() | {"head": head})
    with pytest.raises(ValueError, match="two reports of heads"):
        write(made_up.heads(), made_up.heads())
    with pytest.raises(ValueError, match="one report or more"):
        write()


def test_a_damaged_report_is_named_in_one_line(tmp_path: Path) -> None:
    broken = made_up.choice()
    broken["clean"]["100"]["share"]["ranked"] = None
    with pytest.raises(ValueError, match="report 7 is damaged") as error:
        page.write([Found("ranking", broken, "report 7")], {})
    assert "\n" not in str(error.value)


def test_reports_are_read_from_folders(tmp_path: Path) -> None:
    folder = tmp_path / "now" / "scale-free"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(made_up.scans()))
    (tmp_path / "report.json").write_text(json.dumps(made_up.heads()))
    (tmp_path / "cases.json").write_text(json.dumps(made_up.cases()))
    (below,) = page.read(tmp_path / "now")
    assert below.kind == "scans" and below.source.endswith("scale-free/report.json")
    (own,) = page.read(tmp_path)
    assert own.kind == "heads" and own.cases == made_up.cases()


@pytest.mark.parametrize("text", ["", "[1]", '{"clean": {}}', '{"a": 1}', "{" * 9])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ValueError, match=r"report\.json"):
        page.read(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no report\.json"):
        page.read(tmp_path / "nothing")

"""`python -m launch.evaluate report`: what is measured, what is taken, and its one-line errors."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from data_pipelines import input as data_input
from data_pipelines import openhead_tfds, pairs
from launch import occlusions, report_parts, seen
from ofer_jax import flame, openhead
from tests import made_up_reports as made_up
from tests import squares
from tests.launch.test_evaluate import write_bundle, write_split

WORDS = ["--data=d", "--seed=0"]


def command(root: Path, *words: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "launch.evaluate", "report", *map(str, words)]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=900)


def save(folder: Path, report: dict) -> Path:
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def test_finished_reports_become_a_page(root: Path, tmp_path: Path) -> None:
    choice = made_up.choice() | {"command": "python -m launch.evaluate ranking --data /a/b/data"}
    folders = [save(tmp_path / "ranking", choice), save(tmp_path / "now" / "x", made_up.scans())]
    given = [f"--from={folder}" for folder in (folders[0], tmp_path / "now")]
    done = command(root, *given, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    page = tmp_path / "out" / "report.html"
    assert done.stdout == f"{page}\n" and done.stderr == ""
    text = page.read_text()
    assert 'id="ranking"' in text and 'id="scans"' in text and 'id="heads"' not in text
    assert "launch.evaluate report --from=" in text
    assert "--data data" in text and "/a/b" not in text  # no folder of this machine
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "nothing to report: give --data, --photos or --from"),
        (("--from=nothing",), "nothing holds no report.json"),
        (("--photos=docs/speed.md", "--bundle=docs"), "bundle docs: no config.json there"),
    ],
)
def test_an_error_is_one_line(root: Path, tmp_path: Path, words: tuple, error: str) -> None:
    done = command(root, *words, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"evaluate report: {error}")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_source_that_fails_says_why_itself(root: Path, tmp_path: Path) -> None:
    done = command(root, "--data", tmp_path / "nothing", "--out", tmp_path / "out")
    assert done.returncode == 2 and done.stdout == "heads: measuring\n"
    assert done.stderr.startswith("evaluate: ") and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.slow
def test_a_bundle_is_measured_once(root: Path, tmp_path: Path) -> None:
    head = flame.load(openhead.head_path())
    write_bundle(tmp_path / "bundle", head)
    data_set(tmp_path / "data", head)
    words = ("--bundle", tmp_path / "bundle", "--data", tmp_path / "data", "--out", tmp_path / "o")
    words += ("--measure=heads", "--measure=ranking", "--samples=4", "--sizes=2,3", "--cases=1")
    for told in ("measuring", "measured before"):
        done = command(root, *words)
        assert done.returncode == 0, done.stderr
        assert f"heads: {told}" in done.stdout and f"ranking: {told}" in done.stdout
    text = (tmp_path / "o" / "report.html").read_text()
    assert 'id="heads"' in text and 'id="ranking"' in text and text.count('class="case"') == 2
    assert "<dd>3</dd>" in text  # held-out faces
    cases = json.loads((tmp_path / "o" / "heads" / "cases.json").read_text())
    for case in (*cases["best"], *cases["worst"]):
        shown = base64.b64decode(case["pictures"]["seen"])
        picture = np.asarray(Image.open(io.BytesIO(shown)), int)
        record = squares.make(0, case["subject"])
        own = record["occluded" if case["side"] == "occluded" else "image"].astype(int)
        assert np.abs(picture - own).mean() < 4  # that head's, by its brightness


def data_set(folder: Path, head: flame.FlameModel) -> None:
    """Squares that say they belong to the head, and made-up features of the three held-out ones."""
    counts, identity = {"train": 1, "validation": 1, "test": 3}, head.identity

    def make(seed: int, subject: int) -> dict:
        return {**squares.make(seed, subject), "head": head.name}

    openhead_tfds.build(folder, make=make, head=identity, counts=counts, workers=0)
    write_split(folder, head)  # of other heads: the coefficients are the records'
    found = list(pairs.open_split(folder, "test"))
    for name in ("shape", "expression", "jaw", "subject"):
        path = data_input.folder(folder, "test") / f"{name}.npy"
        np.save(path, np.stack([np.asarray(record[name]) for record in found]))


# ---------------------------------------------------------------- measured once


class Commands:
    """Stands in for `subprocess.run`: each command writes its number, and leaves with a status."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []
        self.status = 0

    def __call__(self, line: list[str], **_: object) -> SimpleNamespace:
        out = Path(line[-1].removeprefix("--out="))
        path = out if out.suffix == ".json" else out / "report.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(len(self.lines)))
        self.lines.append(line[1:])
        return SimpleNamespace(returncode=self.status)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands()
    monkeypatch.setattr(report_parts.subprocess, "run", made)
    return made


def test_a_command_runs_again_only_if_something_changed(ran: Commands, tmp_path: Path) -> None:
    first = {"bundle": "a", "data": "b"}
    for _ in range(2):
        assert report_parts.measured("ranking", WORDS, tmp_path, first) == tmp_path / "ranking"
    assert ran.lines == [["-m", "launch.evaluate", "ranking", *WORDS, f"--out={tmp_path}/ranking"]]
    report_parts.measured("ranking", WORDS, tmp_path, {"bundle": "new", "data": "b"})
    report_parts.measured("ranking", [*WORDS, "--limit=3"], tmp_path, {"bundle": "new"})
    assert len(ran.lines) == 3
    cases = tmp_path / "heads" / "cases.json"
    cases.parent.mkdir()
    cases.write_text("of an older report")
    report_parts.measured("heads", WORDS, tmp_path, first)
    assert not cases.exists()
    assert ran.lines[-1][-1] == f"--out={tmp_path}/heads/report.json"


def test_what_a_killed_command_left_is_not_taken(
    ran: Commands, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    report_parts.measured("ranking", WORDS, tmp_path, {})
    ran.status = -9  # it has written a report of other settings all the same
    with pytest.raises(ValueError, match=r"'ranking' was killed \(signal 9\); run the same again"):
        report_parts.measured("ranking", [*WORDS, "--limit=3"], tmp_path, {})
    ran.status = 0
    report_parts.measured("ranking", WORDS, tmp_path, {})
    assert len(ran.lines) == 3
    ran.status = 2
    with pytest.raises(SystemExit, match="2"):
        report_parts.measured("photos", [], tmp_path, {})
    assert "measured before" not in capsys.readouterr().out


def test_hashes_follow_bundle_data_and_photographs(tmp_path: Path) -> None:
    for name in ("bundle", "data/features/test", "photos"):
        (tmp_path / name).mkdir(parents=True)
    files = {"bundle": "bundle/config.json", "data": "data/features/test/meta.json"}
    files |= {"photographs": "photos/a.jpg"}
    for name in files.values():
        (tmp_path / name).write_text("1")
    places = str(tmp_path / "bundle"), str(tmp_path / "data"), [str(tmp_path / "photos")]
    before = report_parts.made_of(*places)
    assert report_parts.made_of(*places) == before
    for changed, name in files.items():
        (tmp_path / name).write_text("2")
        after = report_parts.made_of(*places)
        assert {key for key in after if after[key] != before[key]} == {changed}
        before = after


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("kind", ["open_head", "faces"])
def test_pictures_of_rows_are_those_of_their_records(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The synthetic set has its own occluder; of real pictures it is drawn again."""
    rng = np.random.default_rng(0)
    sizes = {"shape": 4, "expression": 3, "jaw": 3}
    records = [
        {n: rng.normal(size=size) for n, size in sizes.items()}
        | {"image": np.full((4, 4, 3), i), "occluded": np.full((4, 4, 3), 50 + i)}
        for i in range(5)
    ]
    arrays = {name: np.stack([records[i][name] for i in (0, 2, 3)]) for name in sizes}
    monkeypatch.setattr(seen.data_card, "read", lambda _: {"kind": kind})
    monkeypatch.setattr(seen.pairs, "open_split", lambda *_: records)
    drawn = lambda record, number, _: (np.full((4, 4, 3), 100 + number), None)  # noqa: E731
    monkeypatch.setattr(occlusions, "behind", drawn)
    found = seen.pictures("d", "test", "open", arrays, {1, 2})
    hidden = 50 if kind == "open_head" else 100
    told = {r: (p["clean"].mean(), p["occluded"].mean()) for r, p in found.items()}
    assert told == {1: (2, hidden + 2), 2: (3, hidden + 3)}

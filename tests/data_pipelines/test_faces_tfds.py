"""Sets of real pictures: parts, order, hash, rejections, limits and a build killed twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipelines import data_card, faces_records, faces_tfds, prepared, sets
from data_pipelines.sets import Listing, Rejection
from tests import stub_faces


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared, "PART", stub_faces.PART)
        yield


@pytest.fixture(scope="module")
def folder(small_parts, tmp_path_factory):
    where = tmp_path_factory.mktemp("faces")
    stub_faces.build(where, keep_parts=True)
    return where


def parts(where: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in where.glob(".set.prepared/part-*.npz")}


def looked(where: Path) -> list[str]:
    log = where / "looked.txt"
    return log.read_text().splitlines() if log.exists() else []


def test_records_come_back_in_order(folder):
    listing = stub_faces.source(folder)
    splits = sets.split(listing, 0.3, 0.2)
    assert all(splits.values())
    for split, entries in splits.items():
        found = list(faces_records.open_split(folder / "set", split))
        assert [r["name"] for r in found] == [e.name for e in entries]
        people = sorted({e.subject for e in entries})
        assert [r["subject_id"] for r in found] == [people.index(e.subject) for e in entries]
        first = found[0]
        assert first["crop_112"].shape == (112, 112, 3) and first["crop_224"].dtype == np.uint8
        np.testing.assert_array_equal(first["shape"], sets.truth(entries[0])["shape"])
        assert first["head"] == "stub-1" and not first["has_expression"]
        rows = faces_records.rows(folder / "set", split)
        np.testing.assert_array_equal(rows["subject_id"], [r["subject_id"] for r in found])
        assert rows["has_expression"].tolist() == [bool(r["has_expression"]) for r in found]


def test_the_card_tells_the_content(folder):
    card = data_card.read(folder / "set")
    assert (card["kind"], card["dataset"], card["head"]) == ("faces", "plain", stub_faces.HEAD)
    assert sum(card["counts"].values()) == stub_faces.PICTURES
    assert sum(card["subjects"].values()) == 8
    assert card["settings"]["detector"] == "stub" and card["rejected"] == {}
    assert faces_tfds.verify(folder / "set") == card["content_hash"]
    page = (folder / "set" / "README.md").read_text()
    assert card["content_hash"] in page and card["source_hash"] in page


def test_neither_workers_nor_shards_nor_the_place_change_the_content(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(faces_tfds, "SHARD", 20_000)
    card = stub_faces.build(tmp_path, prepared.workers(2))
    expected = data_card.read(folder / "set")
    assert len(list((tmp_path / "set").glob("*train*record*"))) > 1
    assert card["content_hash"] == expected["content_hash"] == faces_tfds.verify(tmp_path / "set")
    assert card["source_hash"] == expected["source_hash"]
    assert not (tmp_path / ".set.prepared").exists()


def test_a_finished_set_is_left_alone_and_another_needs_overwrite(folder):
    before = (folder / "set" / data_card.FILE).stat().st_mtime_ns
    stub_faces.build(folder)
    assert (folder / "set" / data_card.FILE).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"another data set .*min_score.*--overwrite"):
        stub_faces.build(folder, min_score=0.2)


def test_only_parts_that_differ_are_made_again(folder):
    before = parts(folder)
    path = folder / "source" / "000.png"
    picture = np.array(Image.open(path))
    picture[50:60] = np.random.default_rng(0).integers(0, 99, (10, 112, 3))
    Image.fromarray(picture).save(path)
    (folder / ".set.prepared" / "part-00099.npz").write_bytes(b"of a longer list")
    stub_faces.build(folder, overwrite=True, keep_parts=True)
    after = parts(folder)
    assert before.keys() == after.keys()
    assert sum(before[name] != after[name] for name in before) == 1


def test_a_damaged_part_is_made_again(folder):
    before = parts(folder)
    name = min(before)
    (folder / ".set.prepared" / name).write_bytes(b"PK\x03\x04 broken")
    stub_faces.build(folder, overwrite=True, keep_parts=True)
    after = parts(folder)
    assert [each for each in before if before[each] != after[each]] == [name]


def spoiled(where: Path) -> Listing:
    """Four pictures in which there is something wrong."""
    listing = stub_faces.source(where)
    for number, corner in ((1, (0, 0, 0)), (5, (99, 0, 255))):
        path = where / "source" / f"{number:03d}.png"
        picture = np.array(Image.open(path))
        picture[0, 0] = corner
        Image.fromarray(picture).save(path)
    (where / "source" / "009.png").write_bytes(b"\x89PNG and no more")
    (where / "source" / "012.png").unlink()
    return listing


def test_too_many_rejections_stop_the_build_and_keep_the_parts(tmp_path):
    listing = spoiled(tmp_path)
    with pytest.raises(ValueError, match=r"4 of 22 .*18\.2%.*2 picture unreadable") as caught:
        stub_faces.build(tmp_path, listing=listing)
    assert "\n" not in str(caught.value) and not (tmp_path / "set").exists()
    before = parts(tmp_path)
    card = stub_faces.build(tmp_path, listing=listing, max_rejected=0.2, keep_parts=True)
    assert parts(tmp_path) == before
    assert card["rejected"] == {"picture unreadable": 2, "low score": 1, "no face": 1}
    lines = (tmp_path / "set" / "rejected.jsonl").read_text().splitlines()
    found = {each.name: each for each in (Rejection(**json.loads(line)) for line in lines)}
    assert {name: each.reason for name, each in found.items()} == {
        "001": "no face",
        "005": "low score",
        "009": "picture unreadable",
        "012": "picture unreadable",
    }
    assert found["005"].source == "005.png" and "0.40 < 0.50" in found["005"].detail
    assert "no such file" in found["012"].detail and str(tmp_path) not in "".join(lines)
    assert "rejected: 2 picture unreadable, 1 low score" in faces_tfds.summary(card)
    assert sum(card["counts"].values()) == 18


def test_nothing_left_is_an_error(tmp_path):
    listing = stub_faces.source(tmp_path, 2)
    for entry in listing.entries:
        Path(entry.picture).write_bytes(b"")
    with pytest.raises(ValueError, match="2 of 2 pictures"):
        stub_faces.build(tmp_path, listing=listing, max_rejected=1.0)


def start(where: Path, *words: str) -> subprocess.Popen:
    root = Path(__file__).parents[2]
    line = [sys.executable, "-m", "tests.stub_faces", str(where), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(line, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, **pipes)


def kill_with(where: Path, count: int, *words: str) -> None:
    """Starts a build and kills it, all at once, when `count` parts are there."""
    process = start(where, *words)
    until = time.monotonic() + 120
    while len(parts(where)) < count and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=60)  # ends when the workers have left, too
    assert len(parts(where)) >= count, output.decode()[-2000:]
    assert not (where / "set").exists()


def test_killed_twice_it_goes_on_and_gives_the_same(folder, tmp_path):
    expected = stub_faces.build(tmp_path, out="undisturbed")
    kill_with(tmp_path, 2, "1")
    kill_with(tmp_path, 4, "1")
    process = start(tmp_path, "1")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output.decode()[-2000:]
    card = data_card.read(tmp_path / "set")
    assert card["content_hash"] == expected["content_hash"]
    seen = looked(tmp_path)
    assert len(set(seen)) == stub_faces.PICTURES
    assert len(seen) - len(set(seen)) <= 2 * stub_faces.PART  # each start repeats one part at most

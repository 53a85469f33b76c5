"""Parts made by Apache Beam: the same content whatever the number of workers, also after kills."""

import pytest

from data_pipelines import beam, data_card, prepared
from tests import stub_faces
from tests.data_pipelines.test_faces_tfds import kill_with, looked, start


def test_an_unknown_runner_is_one_line():
    with pytest.raises(ValueError, match="no runner 'Cluster': one of DirectRunner"):
        beam.mapper("Cluster", [], 1)


def test_without_beam_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apache_beam", None)
    with pytest.raises(ValueError, match=r"pip install -e '\.\[beam\]'"):
        beam.mapper("DirectRunner", [], 1)


@pytest.mark.slow  # each of its four runs starts Beam and its workers
def test_one_or_four_workers_killed_twice_give_the_same(tmp_path, monkeypatch):
    pytest.importorskip("apache_beam")
    monkeypatch.setattr(prepared, "PART", stub_faces.PART)
    expected = stub_faces.build(tmp_path, out="undisturbed")
    cards = []
    for workers in ("1", "4"):
        where = tmp_path / workers
        where.mkdir()
        if workers == "4":
            for count in (1, 3):
                kill_with(where, count, workers, "DirectRunner")
        process = start(where, workers, "DirectRunner")
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output.decode()[-3000:]
        cards.append(data_card.read(where / "set"))
        seen = looked(where)
        assert len(set(seen)) == stub_faces.PICTURES
        # a worker repeats the one part that it was at when it was killed
        kills = 2 if workers == "4" else 0
        assert len(seen) - len(set(seen)) <= kills * int(workers) * stub_faces.PART
    assert {card["content_hash"] for card in cards} == {expected["content_hash"]}

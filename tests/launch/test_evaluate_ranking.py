"""`python -m launch.evaluate ranking --against`, on made-up heads and untrained bundles."""

import json
from pathlib import Path

import jax
import pytest

from ofer_jax import bundle, flame, openhead
from tests import toy
from tests.launch.test_evaluate import command, write_bundle, write_split


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a bundle, another one with a clumsy name, and one of another head."""
    folder = tmp_path_factory.mktemp("ranking")
    head = flame.load(openhead.head_path())
    for seed, name in enumerate(("bundle", "its | rival")):
        write_bundle(folder / name, head, seed)
    bundle.save(toy.random_bundle(jax.random.key(2), toy.head(), 6), folder / "foreign")
    write_split(folder / "data", head)
    return folder


def words(made: Path, rival: str) -> tuple:
    places = ("--bundle", made / "bundle", "--data", made / "data", "--against", made / rival)
    return ("ranking", *places, "--sizes=4", "--limit=2")


@pytest.mark.slow
def test_another_bundle_orders_the_same_samples(root: Path, made: Path, tmp_path: Path) -> None:
    done = command(root, *words(made, "its | rival"), "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| ranked by its_rival " in done.stdout
    assert "| ranked - ranked by its_rival " in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["against"] == {
        "its_rival": bundle.load(made / "its | rival").config["params_sha256"]
    }
    done = command(root, *words(made, "bundle"), "--against_name=itself", "--out", tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    difference = report["occluded"]["4"]["share"]["ranked - ranked by itself"]
    assert difference == {"value": 0, "low": 0, "high": 0}


@pytest.mark.slow
def test_a_bundle_of_another_head_is_one_line_and_status_2(root: Path, made: Path) -> None:
    done = command(root, *words(made, "foreign"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"evaluate ranking: bundle {made / 'foreign'}: trained on head ")
    assert len(done.stderr.splitlines()) == 1

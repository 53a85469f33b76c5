"""`python -m launch.evaluate now` and `stirling`, run as commands on made-up folders."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ofer_jax.now import files, layout
from ofer_jax.now.protocol import Face
from tests import made_up_now as made_up


def command(root: Path, *words: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "launch.evaluate", *map(str, words), "--workers=0"]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_now_prints_the_table_or_what_is_wrong_and_no_number(root: Path, tmp_path: Path) -> None:
    tree = made_up.tree(tmp_path)
    places = ("--dataset", tree.dataset, "--predictions", tree.predictions)
    done = command(root, "now", *places, "--metrical", "--unit=m", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NoW validation set, metrical: 4 pictures of 2 people")
    report = json.loads((tmp_path / "out" / "metrical" / "report.json").read_text())
    assert report["command"].startswith("python -m launch.evaluate now --dataset")
    assert (tmp_path / "out" / "metrical" / "curve.png").read_bytes().startswith(b"\x89PNG")
    done = command(root, "now", *places, "--metrical", "--unit=mm", "--out", tmp_path / "bad")
    assert (done.returncode, done.stdout) == (2, "")
    assert "that is m; say --unit m" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("evaluate now: 4 errors above")


@pytest.mark.slow
def test_stirling_reports_rmse_and_refuses_published_weights(root: Path, tmp_path: Path) -> None:
    tree = made_up.tree(tmp_path / "set", people=1)
    item = layout.now(tree.dataset)[0]
    folder = tmp_path / "stirling"
    for quality in ("HQ", "LQ"):
        (folder / quality).mkdir(parents=True)
        shutil.copy(item.picture, folder / quality / "F1001_A.jpg")
        mesh = files.mesh(tree.predictions / f"{item.image}.obj")
        marks = files.landmarks(tree.predictions / f"{item.image}.npy")
        path = tmp_path / "mine"
        made_up.predict(path, f"{quality}/F1001_A", Face(mesh.vertices, mesh.triangles, marks))
    shutil.copy(item.scan, folder / "F1001_N.obj")
    rows = [f"{i + 1} {x} {y} {z}" for i, (x, y, z) in enumerate(files.landmarks(item.landmarks))]
    (folder / "F1001_N.lnd").write_text("\n".join(rows))
    places = ("--dataset", folder, "--out", tmp_path / "out")
    done = command(root, "stirling", *places, "--predictions", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Stirling/ESRC, scale-free: 2 pictures of 1 people")
    assert "| prediction, HQ" in done.stdout and " rmse " in done.stdout
    (tmp_path / "bundle").mkdir()
    config = {"provenance": {"published": {"mode": "paper"}}}
    (tmp_path / "bundle" / "config.json").write_text(json.dumps(config))
    done = command(root, "stirling", *places, "--bundle", tmp_path / "bundle")
    assert (done.returncode, done.stdout) == (2, "")
    assert "published networks were trained on stirling" in done.stderr
    assert len(done.stderr.splitlines()) == 1

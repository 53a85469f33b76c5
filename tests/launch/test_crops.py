"""The paper's configs, in tiny: crops of a drawn set, the three runs, a bundle, its figures."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_pipelines import input as batches
from data_pipelines import records
from ofer_jax import bundle, faces, flame, openhead

STEPS = ("--config.total_steps=4", "--config.eval_steps=2", "--config.ckpt_steps=2")


def command(root: Path, module: str, *words: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", module, *map(str, words)]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=900)


def run(root: Path, module: str, *words: object) -> subprocess.CompletedProcess:
    done = command(root, module, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def data(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of 24 drawn heads: 16 to train on, 6 for validation, 2 for testing."""
    out = tmp_path_factory.mktemp("crops") / "data"
    shares = ("--subjects=24", "--validation_share=6", "--test_share=2", "--seed=5")
    done = run(root, "launch.build_dataset", "--out", out, *shares, "--features=crops")
    assert "train: 16 of 16 pairs (100.0%), crops" in done.stdout
    return out


@pytest.fixture(scope="module")
def own_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The head of that data in a file as users have theirs, with its surface."""
    path = tmp_path_factory.mktemp("flame") / "own.npz"
    flame.save(path, flame.load(openhead.head_path()), openhead.surface())
    return path


@pytest.mark.slow
def test_crops_show_the_face_that_is_found(data: Path) -> None:
    """Within the detector's rounding: it looks at several pictures at once here and there."""
    arrays = batches.load_split(data, "test", "crops")
    for row, record in enumerate(records.open_split(data, "test")):
        for kind, picture in (("clean", "image"), ("occluded", "occluded")):
            (face,) = faces.detect(record[picture])
            for name in batches.CROPS:
                cut = getattr(faces, name)(record[picture], face).astype(float)
                stored = arrays[f"features_{kind}"][name][row]
                assert np.abs(cut - stored).mean() < 1


@pytest.mark.slow
def test_the_papers_configs_train_convert_and_evaluate(
    root: Path, data: Path, own_head: Path, tmp_path: Path
) -> None:
    runs = {name: tmp_path / name for name in bundle.TASKS}
    for name, workdir in runs.items():
        more = ("--config.idgen=" + str(runs["idgen"]),) if name == "idrank" else ()
        places = ("--data", data, "--workdir", workdir, "--flame", own_head)
        config = ("--config", f"configs/{name}.py:tiny", *places)
        done = run(root, "launch.train", *config, *STEPS, *more)
        told = [line for line in done.stderr.splitlines() if "random weights" in line]
        assert len(told) == 1 and "--arcface" in told[0]
        assert ("--farl" in told[0]) == (name != "idgen")
        record = json.loads((workdir / "config.json").read_text())
        assert record["config"]["head"] == "head.npz" and "own.npz" in record["command"]
        assert record["config"]["optim"]["schedule"] == "plateau"
        seen = record["config"]["input"]
        epoch = 16 * seen["images_per_subject"]  # one picture each, seen so often
        assert record["config"]["optim"]["epoch_steps"] == max(1, round(epoch / seen["batch_size"]))
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        assert all(np.isfinite(json.loads(line).get("loss", 0.0)) for line in lines)
    # The same command takes up its last checkpoint, and no longer speaks of weights.
    again = run(root, "launch.train", *config, *STEPS, *more)
    assert "random weights" not in again.stderr
    own_head.unlink()  # the runs keep it, and the bundle brings it
    words = [word for name, workdir in runs.items() for word in (f"--{name}", workdir)]
    run(root, "launch.convert", *words, "--out", tmp_path / "bundle")
    made = bundle.load(tmp_path / "bundle")
    assert made.params["idgen"]["encoder"]["arcface"].keys() == {"params", "batch_stats"}
    assert bundle.head_path(tmp_path / "bundle") is not None
    sizes = ("--samples=3", "--expressions=2", "--batch=2")
    places = ("--bundle", tmp_path / "bundle", "--data", data, "--out", tmp_path / "report.json")
    assert "oracle of 3" in run(root, "launch.evaluate", *places, *sizes).stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["faces"] == 2 and np.isfinite(report["clean"]["ranked"]["mm"]["value"])


@pytest.mark.slow
def test_weights_that_do_not_belong_are_one_line(root: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"nothing")
    config = ("--config", "configs/idgen.py:tiny", "--data", data, "--workdir", tmp_path / "run")
    for flag in ("--farl", "--arcface"):
        done = command(root, "launch.train", *config, flag, tmp_path / "weights.pth")
        assert done.returncode != 0 and "Traceback" not in done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("launch.train: ")
    assert not (tmp_path / "run").exists()

"""The paper's configs on stored features: made-up encoder files, a tiny set, the three runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_pipelines import encoder_pass, openhead_tfds
from ofer_jax import bundle, encoders, flame, openhead
from ofer_jax.tasks import conditioning
from tests import small_published, squares

pytestmark = pytest.mark.slow  # three runs of launch.train
LENGTHS = ("--config.total_steps=2", "--config.eval_steps=2", "--config.ckpt_steps=2")
IDGEN = ("--config.candidates.pool=4", "--config.candidates.held_out.num=4")


def make(seed: int, subject: int) -> dict:
    return {**squares.make(seed, subject), "head": head().name}


def head() -> flame.FlameModel:
    return flame.load(openhead.head_path())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return small_published.write_encoders(tmp_path_factory.mktemp("weights"), 16)


@pytest.fixture(scope="module")
def data(weights: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of both encoders of squares that say they belong to the open head."""
    out = tmp_path_factory.mktemp("data") / "set"
    counts = {"train": 9, "validation": 2, "test": 1}
    openhead_tfds.build(out, make=make, head=head().identity, counts=counts, workers=0)
    encoder_pass.run(out, encoders.read(weights), faces=squares.stub_faces, workers=0)
    return out


def run(root: Path, module: str, *words: object) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", module, *map(str, words)]
    quick = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.run(line, cwd=root, env=quick, capture_output=True, text=True)


def test_the_three_networks_train_without_pictures_and_then_see_some(
    root: Path, data: Path, weights: dict[str, str], tmp_path: Path
) -> None:
    for name in ("idgen", "expgen", "idrank"):
        more = (f"--config.idgen={tmp_path / 'idgen'}", *IDGEN) if name == "idrank" else ()
        config = ("--config", f"configs/{name}.py:cached_tiny", *LENGTHS, *more)
        words = (*config, "--data", data, "--workdir", tmp_path / name)
        done = run(root, "launch.train", *words)
        assert done.returncode == 0, done.stderr[-3000:]
        record = json.loads((tmp_path / name / "config.json").read_text())
        seen = "arcface" if name == "idgen" else "farl+arcface"
        assert record["data"]["features"] == seen and record["data"]["projection"]
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        losses = [told["loss"] for told in map(json.loads, lines) if "loss" in told]
        assert losses and np.isfinite(losses).all()
    words = [word for name in bundle.TASKS for word in (f"--{name}", tmp_path / name)]
    words += ["--out", tmp_path / "bundle", "--dtype=float32"]
    done = run(root, "launch.convert", *words, "--arcface", weights["arcface"])
    assert done.returncode == 1 and "that made them, --farl" in done.stderr
    files = [word for name, path in weights.items() for word in (f"--{name}", path)]
    done = run(root, "launch.convert", *words, *files)
    assert done.returncode == 0, done.stderr[-3000:]
    made = bundle.load(tmp_path / "bundle")
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    config, params = made.config["tasks"]["idgen"], made.params["idgen"]["encoder"]
    (arcface,) = encoders.read({"arcface": weights["arcface"]})
    found = conditioning.encode(config, params, {"crop_112": crops})
    np.testing.assert_allclose(found, arcface(crops), atol=1e-5)
    assert {c["features"]["name"] for c in made.config["tasks"].values()} == {"crops"}

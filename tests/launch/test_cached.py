"""The paper's configs on stored features: made-up encoder files, a tiny set, the three runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_pipelines import encoder_pass, openhead_tfds
from ofer_jax import encoders, flame, openhead
from tests import small_published, squares

pytestmark = pytest.mark.slow  # three runs of launch.train
LENGTHS = ("--config.total_steps=2", "--config.eval_steps=2", "--config.ckpt_steps=2")
IDGEN = ("--config.candidates.pool=4", "--config.candidates.held_out.num=4")


def make(seed: int, subject: int) -> dict:
    return {**squares.make(seed, subject), "head": head().name}


def head() -> flame.FlameModel:
    return flame.load(openhead.head_path())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of both encoders of squares that say they belong to the open head."""
    out, weights = (tmp_path_factory.mktemp(name) for name in ("data", "weights"))
    counts = {"train": 9, "validation": 2, "test": 0}
    openhead_tfds.build(out / "set", make=make, head=head().identity, counts=counts, workers=0)
    made = encoders.read(small_published.write_encoders(weights, 16))
    encoder_pass.run(out / "set", made, faces=squares.stub_faces, workers=0)
    return out / "set"


def test_the_three_networks_train_without_pictures(root: Path, data: Path, tmp_path: Path) -> None:
    for name in ("idgen", "expgen", "idrank"):
        more = (f"--config.idgen={tmp_path / 'idgen'}", *IDGEN) if name == "idrank" else ()
        config = ("--config", f"configs/{name}.py:cached_tiny", *LENGTHS, *more)
        words = (*config, "--data", data, "--workdir", tmp_path / name)
        line = [sys.executable, "-m", "launch.train", *map(str, words)]
        quick = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
        done = subprocess.run(line, cwd=root, env=quick, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        record = json.loads((tmp_path / name / "config.json").read_text())
        seen = "arcface" if name == "idgen" else "farl+arcface"
        assert record["data"]["features"] == seen and record["data"]["projection"]
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        losses = [told["loss"] for told in map(json.loads, lines) if "loss" in told]
        assert losses and np.isfinite(losses).all()

"""`python -m launch.export`, run as a command."""

import json
import subprocess
import sys
from pathlib import Path

from tests import untrained


def command(root: Path, *words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "launch.export", *map(str, words)]
    return subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=900)


def test_a_bundle_is_exported(root: Path, tmp_path: Path) -> None:
    given, out = untrained.save(tmp_path / "bundle"), tmp_path / "exported"
    words = ["--shapes=4", "--expressions=2", "--platforms=cpu,tpu"]
    done = command(root, f"--bundle={given}", f"--out={out}", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}: chain.jax ")
    told = json.loads((out / "manifest.json").read_text())
    assert told["platforms"] == ["cpu", "tpu"]
    assert told["bundle"] == json.loads((given / "config.json").read_text())["params_sha256"]
    assert told["outputs"]["scores"]["shape"] == ["B", 4]
    assert {p.name for p in tmp_path.iterdir()} == {"bundle", "exported"}


def test_a_bad_bundle_is_one_line(root: Path, tmp_path: Path) -> None:
    done = command(root, f"--bundle={tmp_path / 'none'}", f"--out={tmp_path / 'exported'}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("launch.export: bundle ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "exported").exists()

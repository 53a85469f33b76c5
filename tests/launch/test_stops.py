"""launch.train told to stop and killed: real processes, real signals."""

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launch import made_up
from ofer_jax import stopping, writers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made_up") / "data"
    made_up.write(folder)
    return folder


def wait_for(log: Path, pattern: str, child: subprocess.Popen[bytes]) -> None:
    end = time.time() + 240
    while not re.search(pattern, log.read_text() if log.exists() else ""):
        assert child.poll() is None, log.read_text()[-2000:]
        assert time.time() < end
        time.sleep(0.01)


def saved(log: Path) -> list[str]:
    return re.findall(r"launch.train: told to stop; step (\d+) is saved", log.read_text())


def test_sigterm_saves_and_asks_to_be_started_again(data: Path, tmp_path: Path) -> None:
    workdir, log = tmp_path / "run", tmp_path / "run.log"
    child = made_up.train(data, 100_000, workdir)
    wait_for(log, r"step 3/", child)
    for _ in range(3):  # whoever sends it may be impatient
        child.send_signal(signal.SIGTERM)
        time.sleep(0.02)
    assert child.wait(60) == stopping.STATUS
    (step,) = saved(log)
    assert (workdir / "checkpoints" / step).is_dir()
    steps = {line["step"] for line in writers.read_metrics(workdir / "metrics.jsonl")}
    assert steps == set(range(1, int(step) + 1))
    more = int(step) + 5
    again = made_up.train(data, more, workdir, "--config.picture_steps=1000000")
    assert again.wait(240) == 0, log.read_text()[-3000:]
    assert [path.name for path in (workdir / "pictures").iterdir()] == [f"{more}.png"]


def test_sigterm_before_the_first_step_asks_for_it_too(data: Path, tmp_path: Path) -> None:
    child = made_up.train(data, 100_000, tmp_path / "run")
    wait_for(tmp_path / "run.log", "in all", child)
    child.send_signal(signal.SIGTERM)
    assert child.wait(240) == stopping.STATUS


def test_two_processes_stop_together_when_one_is_told(data: Path, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    joined = [f"--coordinator=127.0.0.1:{port}", "--num_processes=2"]
    workdir, log = tmp_path / "run", tmp_path / "run.log"
    children = [
        made_up.train(data, 100_000, workdir, *joined, f"--process_id={number}")
        for number in range(2)
    ]
    try:
        wait_for(log, r"step 3/", children[0])
        children[1].send_signal(signal.SIGTERM)
        told = time.monotonic()
        assert [child.wait(120) for child in children] == [stopping.STATUS] * 2
        assert time.monotonic() - told < 60
    finally:
        for child in children:
            child.kill()
    first, second = saved(log)
    assert first == second
    assert (workdir / "checkpoints" / first).is_dir()


def test_five_kills_change_no_bit(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "launch.kills", "--kills=5", f"--out={tmp_path / 'kills'}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kills" in done.stdout
    assert done.stdout.count(": the same") == 4

"""Two processes of four devices each train as one device does; and one that is left when they are
killed, or two, go on from what they saved. On loopback, joined as `launch.train` joins them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from launch import made_up
from ofer_jax import sharding, writers
from tests import steps

pytestmark = pytest.mark.slow
COUNT = 50
# Fifty steps in float64 in each mode, by `launch.distributed` and the flags of launch.train.
CODE = f"""
import sys
import jax
import numpy as np
from absl import flags
from launch import distributed
out, *given = sys.argv[1:]
flags.FLAGS([sys.argv[0], *given])
jax.config.update("jax_enable_x64", True)
distributed.initialize()
assert (jax.process_count(), jax.local_device_count(), jax.device_count()) == (2, 4, 8)
from tests import steps
for mode in {tuple(sharding.MODES)}:
    state, losses = steps.run("idgen", mode, {COUNT}, np.float64)
    if jax.process_index() == 0:
        np.savez(f"{{out}}/{{mode}}.npz", losses, *jax.tree.leaves(state))
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Run:
    """Processes of one command, joined on loopback if they are several; killed at the end."""

    def __init__(self, log: Path, devices: int, processes: int, *command: str) -> None:
        self.log, port = log, free_port()
        env = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}
        env |= {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiling takes most of the time
        root = Path(__file__).resolve().parents[1]
        self.started = []
        for process in range(processes):
            words = [f"--coordinator=127.0.0.1:{port}", f"--num_processes={processes}"]
            words = [*words, f"--process_id={process}"] if processes > 1 else []
            line = [sys.executable, *command, *words]
            with log.open("a") as file:
                self.started.append(
                    subprocess.Popen(
                        line, cwd=root, env={**os.environ, **env}, stdout=file, stderr=file
                    )
                )

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        for process in self.started:
            process.send_signal(signal.SIGKILL)
        for process in self.started:
            process.wait()

    def finish(self) -> None:
        statuses = [process.wait(timeout=300) for process in self.started]
        assert not any(statuses), f"{statuses}: {self.log.read_text()[-3000:]}"

    def wait_for(self, path: Path) -> None:
        """Until it is there; a process that ends before is a failure."""
        stop = time.time() + 300
        while not path.exists():
            assert time.time() < stop
            assert all(process.poll() is None for process in self.started), self.log.read_text()
            time.sleep(0.02)


def test_fifty_steps_in_float64_are_the_same_in_two_processes(tmp_path: Path) -> None:
    with Run(tmp_path / "log", 4, 2, "-c", CODE, str(tmp_path)) as two:
        with jax.enable_x64(True):
            one, losses = steps.run("idgen", None, COUNT, np.float64)
        two.finish()
    for mode in sharding.MODES:
        with np.load(tmp_path / f"{mode}.npz") as found:
            other, *leaves = found.values()
        np.testing.assert_allclose(losses, other, rtol=1e-9)
        steps.assert_close(jax.tree.leaves(one), leaves, 1e-9)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("made_up") / "data"
    made_up.write(folder)
    yield folder
    shutil.rmtree(folder)


def training(data: Path, workdir: Path, total: int, *mesh: str) -> list[str]:
    settings = f"total_steps={total} log_steps=1 eval_steps=4 ckpt_steps=4 input.batch_size=16"
    settings += " optim.schedule=constant optim.warmup_steps=0 picture_steps=0"
    words = [f"--config.{setting}" for setting in (*settings.split(), *mesh)]
    config = "--config=configs/idgen_openhead.py:demo"
    return ["-m", "launch.train", config, f"--data={data}", f"--workdir={workdir}", *words]


def test_killed_processes_are_gone_on_from_by_any_number(data: Path, tmp_path: Path) -> None:
    """2 x 4 devices with FSDP are killed; 1 x 8 and 1 x 2 go on, and 2 x 4 from what 1 x 8 saved.
    All have the figures, so the batches, of a run of one device."""
    whole, killed, eight, two = (tmp_path / name for name in ("whole", "killed", "eight", "two"))
    with Run(tmp_path / "whole.log", 1, 1, *training(data, whole, 20)) as run:
        command = training(data, killed, 1000, "mesh.mode=fsdp")
        with Run(tmp_path / "killed.log", 4, 2, *command) as processes:
            processes.wait_for(killed / "checkpoints" / "8")
            processes.kill()
        run.finish()
    parts = list((killed / "checkpoints" / "8").rglob("process_*-of-2.json"))
    assert {part.name for part in parts} == {f"process_{i}-of-2.json" for i in (0, 1)}
    for path in (eight, two):
        shutil.copytree(killed, path)
    expected, stopped = lines(whole), lines(killed)
    assert 8 <= max(stopped) < 1000
    same(expected, {step: line for step, line in stopped.items() if step <= 20})
    on_two, on_eight = (training(data, path, 16, "mesh.mode=both") for path in (two, eight))
    with Run(tmp_path / "two.log", 2, 1, *on_two) as run:
        with Run(tmp_path / "eight.log", 8, 1, *on_eight) as other:
            other.finish()
        run.finish()
    with Run(tmp_path / "eight.log", 4, 2, *training(data, eight, 20)) as run:
        run.finish()
    for path, total in ((two, 16), (eight, 20)):
        found = lines(path)
        assert sorted(found) == list(range(1, total + 1))
        same(expected, found)


def lines(workdir: Path) -> dict[int, dict[str, float]]:
    """The training figures of each step."""
    read = writers.read_metrics(workdir / "metrics.jsonl")
    return {int(line["step"]): line for line in read if "loss" in line}


def same(one: dict[int, dict[str, float]], other: dict[int, dict[str, float]]) -> None:
    for step in one.keys() & other.keys():
        for name in ("loss", "regressor_loss"):
            assert other[step][name] == pytest.approx(one[step][name], rel=1e-3), (step, name)

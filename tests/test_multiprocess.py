"""Two processes on one machine train as one does, and go on from each other's checkpoints."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ofer_jax import train, writers
from tests import toy

CODE = """
import sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 1)
jax.config.update("jax_disable_most_optimizations", True)
process, port, workdir = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=process)
from tests import toy
from ofer_jax import best, checkpoint, train, writers
config, constants = toy.config("idgen", 6), toy.constants("idgen")
config.eval_steps = config.ckpt_steps = 3
batches = toy.Batches(16, jax.process_index(), jax.process_count())
writer = writers.Writer(workdir, "idgen", 1) if process == 0 else writers.Silent()
valid = {"valid": train.make_evaluator(config, constants, toy.arrays(32), 1)}
last = train.train(config, workdir, batches, valid, constants=constants, writer=writer)
# The best are whole in every process, as IdRank's candidates need them.
layout = best.layout(train.TASKS["idgen"].BEST, jax.eval_shape(dict, last.ema_params))
found = checkpoint.read_best(workdir, layout)
assert found["steps"]["loss"] in (3, 6), found["steps"]
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_two(root: Path, workdir: Path) -> None:
    port = free_port()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(process), str(port), str(workdir)],
            cwd=root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], "\n".join(errors)[-3000:]


@pytest.mark.slow
def test_two_processes_equal_one(root: Path, tmp_path: Path) -> None:
    config, constants = toy.config("idgen", 6), toy.constants("idgen")
    config.eval_steps = config.ckpt_steps = 3
    valid = {"valid": train.make_evaluator(config, constants, toy.arrays(32), 1)}
    writer = writers.Writer(tmp_path / "one", "idgen", 10)
    train.train(config, tmp_path / "one", toy.Batches(), valid, constants=constants, writer=writer)
    run_two(root, tmp_path / "two")
    one, two = (toy.metrics(tmp_path / name) for name in ("one", "two"))
    assert [sorted(line) for line in one] == [sorted(line) for line in two]
    for name in ("loss", "valid/loss", "valid/regressor_loss"):
        values = [[line[name] for line in run if name in line] for run in (one, two)]
        np.testing.assert_allclose(*values, rtol=1e-4)
    # One process goes on where the two stopped.
    config.total_steps = 8
    batches = toy.Batches()
    last = train.train(
        config,
        tmp_path / "two",
        batches,
        valid,
        constants=constants,
        writer=writers.Silent(),
    )
    assert int(last.step) == batches.position == 8

"""How processes are joined: by flags, by what a cluster tells, or not at all."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
from absl import flags
from absl.testing import flagsaver

from launch import distributed

Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]
SLURM = {"SLURM_JOB_ID": "4242", "SLURM_STEP_NODELIST": "node[01-02]", "SLURM_NTASKS": "16"}


@pytest.fixture
def give() -> Iterator[Callable[..., None]]:
    """Sets flags as a command line would."""
    parsed = flags.FLAGS.is_parsed()

    def give(**values: object) -> None:
        for name, value in values.items():
            flags.FLAGS[name].value = value

    with flagsaver.flagsaver():
        flags.FLAGS.mark_as_parsed()
        yield give
    if not parsed:
        flags.FLAGS.unparse_flags()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The arguments of each jax.distributed.initialize, in a machine without any cluster."""
    for name in ("SLURM_STEP_NODELIST", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES", "TPU_SKIP_MDS_QUERY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("MEGASCALE_NUM_SLICES", raising=False)
    monkeypatch.setattr(distributed, "has_tpu", lambda: False)
    found: Calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *a, **k: found.append((a, k)))
    return found


def test_one_process_alone_joins_nothing(give, calls: Calls) -> None:
    distributed.initialize()
    assert calls == []


def test_flags_say_it_all(give, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[01-02]")
    monkeypatch.setenv("SLURM_NTASKS", "16")
    give(coordinator="node0:1234", num_processes=2, process_id=1)
    distributed.initialize()
    assert calls == [(("node0:1234", 2, 1), {"cluster_detection_method": "deactivate"})]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"coordinator": "a:1"}, "give --num_processes and --process_id too"),
        ({"num_processes": 2, "process_id": 0}, "give --coordinator too"),
        ({"coordinator": "a:1", "num_processes": 2}, "give --process_id too"),
        ({"coordinator": "a", "num_processes": 2, "process_id": 0}, "write HOST:PORT"),
        ({"coordinator": "a:1", "num_processes": 2, "process_id": 2}, "is 2 of 2 processes"),
        ({"coordinator": "a:1", "num_processes": 2, "process_id": -1}, "is -1 of 2 processes"),
    ],
)
def test_flags_that_cannot_be_meant_are_one_line(give, calls: Calls, given, said) -> None:
    give(**given)
    with pytest.raises(ValueError, match=said) as caught:
        distributed.initialize()
    assert "\n" not in str(caught.value)
    assert calls == []


@pytest.mark.parametrize(
    ("environment", "joins"),
    [
        (SLURM, True),
        (SLURM | {"SLURM_NTASKS": "1"}, False),
        # The batch script, and a shell in an allocation: tasks were asked for, but not started.
        ({"SLURM_JOB_ID": "4242", "SLURM_NTASKS": "16"}, False),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b,c,d"}, True),
        ({"TPU_PROCESS_ADDRESSES": "a:8476,b:8476"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "localhost", "MEGASCALE_NUM_SLICES": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost", "MEGASCALE_NUM_SLICES": ""}, False),
    ],
)
def test_a_cluster_is_left_to_jax(give, calls: Calls, monkeypatch, environment, joins) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    distributed.initialize()
    assert calls == ([((), {})] if joins else [])


@pytest.mark.parametrize("skip", [False, True])
def test_a_tpu_vm_is_left_to_jax(give, calls: Calls, monkeypatch, skip: bool) -> None:
    monkeypatch.setattr(distributed, "has_tpu", lambda: True)
    if skip:  # a TPU without Google's metadata server, as in a notebook service
        monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "1")
    distributed.initialize()
    assert len(calls) == (0 if skip else 1)


# launch.train is imported first: if an import had started the backend, JAX would refuse to join.
CODE = """
import sys
import jax
from absl import flags
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
import launch.train
from launch import distributed
flags.FLAGS([sys.argv[0], "--workdir=unused", "--config=configs/idgen_openhead.py", *sys.argv[1:]])
distributed.initialize()
print("joined", jax.process_index(), jax.process_count(), jax.device_count())
"""


def by_flags(process: int, port: int) -> tuple[list[str], dict[str, str]]:
    words = [f"--coordinator=127.0.0.1:{port}", "--num_processes=2", f"--process_id={process}"]
    return words, {}


def by_slurm(process: int, port: int) -> tuple[list[str], dict[str, str]]:
    """What srun tells a task, for two tasks on this machine."""
    told = {"JOB_ID": 1, "STEP_NODELIST": "127.0.0.1", "NTASKS": 2, "STEP_NUM_TASKS": 2}
    told |= {"PROCID": process, "LOCALID": process}
    environment = {f"SLURM_{name}": str(value) for name, value in told.items()}
    return [], environment | {"JAX_COORDINATOR_PORT": str(port)}


@pytest.mark.slow
@pytest.mark.parametrize("told", [by_flags, by_slurm])
def test_two_processes_find_each_other(root: Path, told, monkeypatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    started = []
    for process in range(2):
        words, environment = told(process, port)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        line = [sys.executable, "-c", CODE, *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(line, cwd=root, text=True, **pipes))
    try:
        ended = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    for number, (out, error) in enumerate(ended):
        assert f"joined {number} 2 4" in out.splitlines(), error[-3000:]

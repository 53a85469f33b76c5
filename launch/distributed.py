"""Joins the processes of a run; to be called before anything asks JAX for a device.

By hand, the same command for each process but for the last number:

    python -m launch.train ... --coordinator=HOST:1234 --num_processes=2 --process_id=0

Within `srun`, in a TPU slice of GKE and on TPU VMs no flag is needed: JAX asks the cluster. One
process alone (a laptop, a machine with eight GPUs) needs neither, and nothing is done.
"""

import importlib.util
import os
import re
from pathlib import Path

import jax
from absl import flags

COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT where process 0 can be reached")
NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "processes of the run, all together")
PROCESS_ID = flags.DEFINE_integer("process_id", None, "which one this is, counted from 0")


def initialize() -> None:
    """Join the other processes, by the flags if they are given, else as the cluster says.

    Raises:
      ValueError: some of the three flags, but not all; or values that cannot be meant.
    """
    coordinator, count, process = COORDINATOR.value, NUM_PROCESSES.value, PROCESS_ID.value
    if coordinator is None or count is None or process is None:
        every = (COORDINATOR, NUM_PROCESSES, PROCESS_ID)
        missing = [f"--{flag.name}" for flag in every if flag.value is None]
        if len(missing) < len(every):
            raise ValueError(
                "--coordinator, --num_processes and --process_id go together: give "
                f"{' and '.join(missing)} too, or none of them"
            )
        if in_cluster():
            jax.distributed.initialize()
        return
    if not re.fullmatch(r".+:\d+", coordinator):
        raise ValueError(f"--coordinator is {coordinator!r}: write HOST:PORT, as node0:1234")
    if not 0 <= process < count:
        raise ValueError(
            f"--process_id is {process} of {count} processes: they are counted from 0 to "
            "--num_processes less 1"
        )
    # Deactivated, or a cluster's own numbers would choose this process's devices.
    jax.distributed.initialize(coordinator, count, process, cluster_detection_method="deactivate")


def in_cluster() -> bool:
    """Whether JAX will find more processes than this one by itself."""
    env = os.environ
    if "SLURM_STEP_NODELIST" in env:  # inside srun; the batch script itself is one process
        return int(env.get("SLURM_STEP_NUM_TASKS") or env.get("SLURM_NTASKS") or 1) > 1
    if hosts := env.get("TPU_PROCESS_ADDRESSES") or env.get("TPU_WORKER_HOSTNAMES"):  # GKE
        return "," in hosts or int(env.get("MEGASCALE_NUM_SLICES") or 1) > 1
    # A TPU VM, of one host or more: JAX asks Google's metadata server which.
    return "TPU_SKIP_MDS_QUERY" not in env and has_tpu()


def has_tpu() -> bool:
    """Whether this machine has TPU chips and their driver, found without starting JAX's backend."""
    chips = [*Path("/dev").glob("accel[0-9]*"), *Path("/dev/vfio").glob("[0-9]*")]
    return bool(chips) and importlib.util.find_spec("libtpu") is not None

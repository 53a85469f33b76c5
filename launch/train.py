"""Train IdGen, IdRank or ExpGen.

    python -m launch.train --config configs/idgen_openhead.py --data DIR --workdir runs/idgen

Goes on from the newest checkpoint in the workdir. IdRank also needs --config.idgen=runs/idgen,
whose best params draw its candidates once, into WORKDIR/candidates.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from absl import app, flags
from ml_collections import config_flags

from data_pipelines import input as batches
from launch import held_out, setup
from ofer_jax import state, train, writers

CONFIG = config_flags.DEFINE_config_file("config", None, "configs/TASK_openhead.py")
WORKDIR = flags.DEFINE_string("workdir", None, "where checkpoints and metrics go", required=True)
DATA = flags.DEFINE_string("data", None, "folder of the data set (default: config.input.dir)")


def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    config, workdir = CONFIG.value, Path(WORKDIR.value)
    config.input.dir = DATA.value or config.input.dir
    try:
        run(config, workdir)
    except ValueError as error:
        sys.exit(f"launch.train: {error}")


def run(config: Any, workdir: Path) -> None:
    """Make the data ready and train."""
    head, surface = setup.head_of(config)
    meta = batches.read_meta(config.input.dir, "train")
    setup.check_data(config, meta, head)
    task = train.TASKS[config.task]
    constants = task.constants(config.model.to_dict(), head, surface[task.REGION])
    if config.task == "idrank":
        held_out.draw_candidates(config, workdir)
        config.input.candidates = str(workdir / "candidates" / "train")
    evaluators = {
        "valid": train.make_evaluator(config, constants, held_out.arrays(config, workdir))
    }
    train_iter = batches.make_train_iter(
        config.input,
        seed=config.seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    writer: train.Writer = writers.Silent()
    if jax.process_index() == 0:
        writer = writers.Writer(workdir, config.task, config.log_steps)
        setup.record(config, workdir, head, meta)
        params = jax.eval_shape(
            lambda c: task.init(config.model.to_dict(), jax.random.key(0), c), constants
        )
        print(state.table(params), file=sys.stderr)
    train.train(config, workdir, train_iter, evaluators, constants=constants, writer=writer)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    jax.config.config_with_absl()
    app.run(main)

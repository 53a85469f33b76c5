"""Train IdGen, IdRank or ExpGen.

    python -m launch.train --config configs/idgen_openhead.py --data DIR --workdir runs/idgen

Goes on from the newest checkpoint in the workdir. IdRank also needs --config.idgen=runs/idgen,
whose best params draw its candidates. The paper's own configs also take --flame FILES,
--arcface FILE and --farl FILE.
"""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from absl import app, flags
from ml_collections import config_flags

from data_pipelines import input as batches
from launch import candidates, held_out, inputs, record, resume, setup
from ofer_jax import checkpoint, state, train, writers

CONFIG = config_flags.DEFINE_config_file("config", None, "configs/TASK_openhead.py")
FLAME = flags.DEFINE_string("flame", None, "your FLAME: a folder, .pkl or .npz (config.head)")
ENCODERS = {
    name: flags.DEFINE_string(name, None, f"{title} weights to start from, in any published file")
    for name, title in (("arcface", "ArcFace's"), ("farl", "FaRL's"))
}
WORKDIR = flags.DEFINE_string("workdir", None, "where checkpoints and metrics go", required=True)
DATA = flags.DEFINE_string("data", None, "folder of the data set (default: config.input.dir)")


def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    config, workdir = CONFIG.value, Path(WORKDIR.value)
    config.input.dir, config.head = DATA.value or config.input.dir, FLAME.value or config.head
    try:
        run(config, workdir)
    except (ValueError, OSError) as error:
        sys.exit(f"launch.train: {error}")


def run(config: Any, workdir: Path) -> None:
    """Make the data ready and train."""
    head = setup.head_of(config)
    features, files = config.model.features.name, {n: flag.value for n, flag in ENCODERS.items()}
    meta = batches.read_meta(config.input.dir, "train", features)
    inputs.check_data(config, meta, head[0])
    resume.check(config, workdir, head[0])  # before anything is written
    constants = setup.constants_of(config.to_dict(), *head)
    fresh = not checkpoint.exists(workdir)
    pretrained = inputs.pretrained(config.model.encoder.name, files) if fresh else {}
    drawn = candidates.prepare(config, workdir)
    evaluators = {"valid": train.make_evaluator(config, constants, held_out.arrays(config))}
    place = {"process_index": jax.process_index(), "process_count": jax.process_count()}
    train_iter = batches.make_train_iter(config.input, seed=config.seed, features=features, **place)
    writer: train.Writer = writers.Silent()
    if jax.process_index() == 0:
        writer = writers.Writer(workdir, config.task, config.log_steps)
        record.write(config, workdir, head, meta, inputs.told(files))
        init = functools.partial(train.TASKS[config.task].init, config.model.to_dict())
        params = jax.eval_shape(init, jax.random.key(0), constants)
        print(state.table(params), file=sys.stderr)
    given = {"constants": {**constants, **drawn}, "writer": writer, "pretrained": pretrained}
    train.train(config, workdir, train_iter, evaluators, **given)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    jax.config.config_with_absl()
    app.run(main)

"""Train IdGen, IdRank or ExpGen.

    python -m launch.train --config configs/idgen_openhead.py --data DIR --workdir runs/idgen

Goes on from the newest checkpoint in the workdir. IdRank also needs --config.idgen=runs/idgen,
whose best params draw its candidates. The paper's own configs also take --flame FILES,
--arcface FILE and --farl FILE.
"""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from absl import app, flags
from ml_collections import config_flags

from data_pipelines import input as batches
from launch import candidates, distributed, dry_run, held_out, inputs, resume, setup, start
from ofer_jax import checkpoint, pictures, stopping, train

CONFIG = config_flags.DEFINE_config_file("config", None, "configs/TASK_openhead.py")
FLAME = flags.DEFINE_string("flame", None, "your FLAME: a folder, .pkl or .npz (config.head)")
ENCODERS = {
    name: flags.DEFINE_string(name, None, f"{title} weights to start from, in any published file")
    for name, title in (("arcface", "ArcFace's"), ("farl", "FaRL's"))
}
WORKDIR = flags.DEFINE_string("workdir", None, "where checkpoints and metrics go")
DATA = flags.DEFINE_string("data", None, "data set, or DIR:WEIGHT,DIR:WEIGHT (config.input.dir)")
PROFILE = flags.DEFINE_integer("profile", 0, "steps to trace into WORKDIR/profile", 0)
DRY_RUN = flags.DEFINE_bool("dry_run", False, "only compile, and print memory and FLOPs a step")


def main(argv: Sequence[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}")
    if not (WORKDIR.value or DRY_RUN.value):
        raise app.UsageError("--workdir is needed")
    config = CONFIG.value
    config.input.dir, config.head = DATA.value or config.input.dir, FLAME.value or config.head
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(stopping.STATUS))  # nothing to save yet
    try:
        distributed.initialize()
        if DRY_RUN.value:
            print(dry_run.report(config))
        else:
            run(config, Path(str(WORKDIR.value)))
    except (ValueError, OSError, FloatingPointError, stopping.Stopped) as error:
        print(f"launch.train: {error}", file=sys.stderr)
        sys.exit(stopping.STATUS if isinstance(error, stopping.Stopped) else 1)


def run(config: Any, workdir: Path) -> None:
    """Make the data ready and train."""
    head = setup.head_of(config)
    features, files = config.model.features.name, {n: flag.value for n, flag in ENCODERS.items()}
    meta = batches.read_meta(config.input.dir, "train", features)
    inputs.check_data(config, meta, head[0])
    resume.check(config, workdir, head[0])  # before anything is written
    constants = setup.constants_of(config.to_dict(), *head)
    goes_on, encoder = checkpoint.exists(workdir), config.model.encoder.name
    pretrained = {} if goes_on else inputs.pretrained(encoder, files)
    drawn = candidates.prepare(config, workdir)
    arrays = held_out.arrays(config)
    place = {"process_index": jax.process_index(), "process_count": jax.process_count()}
    train_iter = batches.make_train_iter(config.input, seed=config.seed, features=features, **place)
    illustrate = pictures.make(config, *head, constants, arrays) if config.picture_steps else None
    writer = start.tell(config, workdir, head, meta, files, constants)
    given: dict[str, Any] = {"writer": writer, "illustrate": illustrate, "profile": PROFILE.value}
    given |= {"constants": {**constants, **drawn}, "pretrained": pretrained}
    valid = {"valid": train.make_evaluator(config, constants, arrays)}
    train.train(config, workdir, train_iter, valid, **given)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    jax.config.config_with_absl()
    app.run(main)

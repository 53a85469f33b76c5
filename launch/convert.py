"""Make one inference bundle of three training runs, or of OFER's published checkpoints.

    python -m launch.convert --idgen runs/idgen --idrank runs/idrank --expgen runs/expgen --out DIR
    python -m launch.convert --from ofer model_idgen.tar model_idrank.tar model_expgen.tar \\
        [mica.tar] --flame FLAME --out DIR [--mode official_demo]

The first takes the best averaged params of each run. The second knows the files by what they hold
(MICA's gives the deterministic baseline); FLAME is a model file, or a folder with the user's files.
Runs on stored features take the encoders that made these from --arcface and --farl.
"""

import sys
from collections.abc import Sequence

from absl import app, flags

from launch import runs
from ofer_jax import bundle, encoders, flame, importers, published

SOURCE = flags.DEFINE_enum("from", "runs", ["runs", "ofer"], "what the bundle is made of")
WORKDIRS = {
    name: flags.DEFINE_string(name, None, f"workdir of {name}'s training") for name in bundle.TASKS
}
ENCODERS = {
    name: flags.DEFINE_string(name, None, "weights that runs on stored features were made with")
    for name in encoders.CROPS
}
FLAME = flags.DEFINE_string("flame", None, "head of the published networks: .pkl, .npz or folder")
LANDMARKS = flags.DEFINE_string("landmarks", None, "landmark_embedding.npy, if not beside it")
MASKS = flags.DEFINE_string("masks", None, "FLAME_masks.pkl, if not beside it")
FRONT = flags.DEFINE_string("front", None, "numbers of the 1785 front-face vertices, .npy or .txt")
MODE = flags.DEFINE_enum("mode", "paper", published.MODES, "see ofer_jax/published.py")
SEED = flags.DEFINE_integer("seed", 0, "of the weights that the checkpoints do not hold", 0)
OUT = flags.DEFINE_string("out", None, "folder to write", required=True)
DTYPE = flags.DEFINE_enum(
    "dtype", None, ["float16", "float32"], "how params are stored (float16; published: float32)"
)


def main(argv: Sequence[str]) -> None:
    """Write the bundle; a bad file is one line and exit status 1."""
    try:
        bundle.check_target(OUT.value)
        if SOURCE.value == "ofer":
            of_published(argv[1:])
        else:
            of_runs(argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"launch.convert: {error}")
    size = sum(path.stat().st_size for path in bundle.files(OUT.value))
    print(f"{OUT.value}: {size / 1e6:.1f} MB")


def of_runs(unknown: Sequence[str]) -> None:
    """The bundle of three training runs."""
    if unknown:
        raise app.UsageError(f"unknown argument {unknown[0]!r}")
    missing = [f"--{name}" for name, flag in WORKDIRS.items() if flag.value is None]
    if missing:
        raise app.UsageError(f"{', '.join(missing)} must be given")
    read = encoders.read({name: flag.value for name, flag in ENCODERS.items() if flag.value})
    workdirs = {name: str(flag.value) for name, flag in WORKDIRS.items()}
    made, own = runs.bundle_of(workdirs, {each.name: each for each in read})
    bundle.save(made, OUT.value, DTYPE.value or "float16", **own)


def of_published(files: Sequence[str]) -> None:
    """The bundle of the published checkpoints, and the head beside it."""
    if FLAME.value is None:
        raise app.UsageError("--flame must be given")
    head = flame.load(FLAME.value, LANDMARKS.value)
    surface = flame.surface(FLAME.value, LANDMARKS.value, MASKS.value, FRONT.value)
    made, warnings = importers.bundle_of(files, head, surface, MODE.value, SEED.value)
    for warning in warnings:
        print(f"launch.convert: warning: {warning}", file=sys.stderr)
    bundle.save(made, OUT.value, DTYPE.value or "float32", head=head, surface=surface)


if __name__ == "__main__":
    app.run(main)

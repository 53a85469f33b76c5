"""Face shapes against the scans of the NoW benchmark (the validation set's; the test set's are kept
secret).

    python -m launch.evaluate now --dataset NoW_Dataset --predictions DIR [--metrical --unit m]
    python -m launch.evaluate now --dataset NoW_Dataset --bundle runs/bundle [--out out/now]

The first measures meshes DIR/SUBJECT/CHALLENGE/IMAGE.obj (or .ply) with IMAGE.npy (or .txt), 7 x 3
landmarks. The second reconstructs all pictures of the validation and the test set into
OUT/submission, the folder to hand in, and measures the validation set. Writes report.json,
report.md and curve.png; a killed run goes on where it was. docs/evaluation.md tells the rest.
"""

import sys
from pathlib import Path

from absl import app, flags, logging

from launch import scans
from ofer_jax.now import layout
from ofer_jax.now.benchmark import Plan
from ofer_jax.now.protocol import NOW_RADIUS, Settings

OUT = flags.DEFINE_string("out", "out/now", "folder of the report and of what a killed run keeps")
TEST = flags.DEFINE_boolean("test", True, "with --bundle: also reconstruct the test set")


def run() -> None:
    """Everything that the flags ask for."""
    scans.check_flags()
    out = Path(OUT.value)
    listed, dataset = scans.LIST.value, scans.DATASET.value or ""
    every = layout.listed(listed) if listed else layout.now(dataset)
    items = layout.chosen(every, scans.CHALLENGE.value)
    more = layout.now(dataset, "test") if TEST.value and scans.BUNDLE.value and not listed else []
    folder, unit, failures = scans.submit([*items, *more], out)
    settings = Settings(NOW_RADIUS, scans.METRICAL.value)
    plan = Plan("NoW validation set", items, folder, settings, unit, scans.PARTIAL.value)
    scans.measure(plan, out / ("metrical" if settings.metrical else "scale-free"), failures)


def main(argv: list[str]) -> None:
    """Print what is wrong, or the table; a ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    try:
        run()
    except ValueError as error:
        print(f"evaluate now: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)

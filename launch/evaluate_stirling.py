"""Face shapes against the scans of Stirling/ESRC (FG 2018): 3D root mean square error, HQ and LQ.

    python -m launch.evaluate stirling --dataset DIR --predictions DIR
    python -m launch.evaluate stirling --dataset DIR --bundle runs/bundle [--force]

Predictions lie as HQ/IMAGE.obj and LQ/IMAGE.obj (or .ply), each with IMAGE.npy (or .txt), 7 x 3
landmarks. A bundle whose networks saw Stirling in training is refused unless --force; OFER's
published networks did. docs/evaluation.md tells the rest.
"""

import sys
from pathlib import Path

from absl import app, flags, logging

from launch import scans
from ofer_jax.now import layout, training
from ofer_jax.now.benchmark import Plan
from ofer_jax.now.protocol import STIRLING_RADIUS, Settings

OUT = flags.DEFINE_string("out", "out/stirling", "folder of the report and of what is kept")
FORCE = flags.DEFINE_boolean("force", False, "measure weights that were trained on Stirling")
ALIGNMENT = flags.DEFINE_enum(
    "alignment", "surface", ["surface", "landmarks"], "the last one; FG 2018's own is by landmarks"
)


def run() -> None:
    """Everything that the flags ask for."""
    scans.check_flags()
    if path := scans.bundle_path():
        training.check(path, "stirling", force=FORCE.value)
    listed, dataset = scans.LIST.value, scans.DATASET.value or ""
    every = layout.listed(listed) if listed else layout.stirling(dataset)
    items = layout.chosen(every, scans.CHALLENGE.value)
    out = Path(OUT.value)
    folder, unit, failures = scans.submit(items, out)
    settings = Settings(STIRLING_RADIUS, scans.METRICAL.value, ALIGNMENT.value == "surface")
    figures = ("rmse", "mean", "median", "std")
    plan = Plan("Stirling/ESRC", items, folder, settings, unit, scans.PARTIAL.value, figures)
    way = "metrical" if settings.metrical else "scale-free"
    scans.measure(plan, out / f"{way}-{ALIGNMENT.value}", failures + training.reminder(path))


def main(argv: list[str]) -> None:
    """Print what is wrong, or the table; a ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    try:
        run()
    except ValueError as error:
        print(f"evaluate stirling: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)

"""Whether a bundle's fast samplers draw what DDPM draws in all steps of the schedule.

    python -m launch.sampling --data data/openhead [--bundle runs/bundle] [--out runs/sampling]

Prints two tables: energy distance and spread against DDPM for each number of steps, and the table
of `launch.evaluate` under DDPM beside the bundle's own samplers. OUT gets both as `sampling.json`,
the curve as `sampling.png`, and all draws, so that a stopped command goes on where it was. DDPM's
take hours: some 2 x 10^8 evaluations for each network. `ofer_jax/sampling_quality.py` explains the
figures. Every second face is behind something.
"""

import json
import pathlib
import sys

from absl import app, flags, logging

from launch import sampling_inputs, sampling_plot
from ofer_jax import atomic, openhead, sampling_draws, sampling_quality

BUNDLE = flags.DEFINE_string("bundle", None, "bundle directory; without it the embedded one")
DATA = flags.DEFINE_string("data", None, "data set directory with features", required=True)
SPLIT = flags.DEFINE_string("split", "test", "split of the data set")
FACES = flags.DEFINE_integer("faces", 100, "faces of the first table", 2)
SAMPLES = flags.DEFINE_integer("samples", 1000, "samples of each", 2)
STEPS = flags.DEFINE_list("steps", ["5", "10", "15", "20", "30", "50"], "numbers of steps")
SAMPLERS = flags.DEFINE_list("samplers", ["dpm3", "dpm"], f"of {', '.join(sampling_draws.FAST)}")
HEADS = flags.DEFINE_integer("heads", None, "heads of the second table; all by default", 0)
OUT = flags.DEFINE_string("out", "runs/sampling", "where draws and results go")


def run(out: pathlib.Path) -> dict:
    """Both reports of the flags' bundle."""
    steps = sampling_inputs.numbers(STEPS.value)
    given = sampling_inputs.given(
        BUNDLE.value or openhead.bundle_path(), DATA.value, SPLIT.value, SAMPLERS.value
    )
    rows = []
    for task in sampling_draws.TASKS:
        drawn = sampling_draws.Drawn(given, task, FACES.value, SAMPLES.value, out / "draws")
        reference = [drawn(sampling_draws.REFERENCE, seed) for seed in (0, 1)]
        for name in SAMPLERS.value:
            for count in steps:
                found = drawn({**sampling_draws.FAST[name], "steps": count}, 2)
                told = {"task": task, "sampler": name, "steps": count}
                made = sampling_quality.compare(found, reference)
                rows.append({**told, **sampling_quality.report(made)})
    tables = sampling_draws.tables(given, HEADS.value, out) if HEADS.value != 0 else {}
    faces = min(FACES.value, len(given.arrays["shape"]))
    sizes = {"faces": faces, "samples": SAMPLES.value}
    command = " ".join(["python -m launch.sampling", *sys.argv[1:]])
    about = {"command": command, "bundle": given.bundle.config["params_sha256"], **sizes}
    return {**about, "rows": rows, "tables": tables}


def main(argv: list[str]) -> None:
    """Print the tables and draw the curve; a ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    out = pathlib.Path(OUT.value)
    try:
        found = run(out)
    except ValueError as error:
        print(f"sampling: {error}", file=sys.stderr)
        sys.exit(2)
    print(sampling_quality.table(found["rows"]))
    print(sampling_draws.beside(found["tables"]))
    atomic.write_text(out / "sampling.json", json.dumps(found, indent=1) + "\n")
    sampling_plot.curves(found["rows"], out / "sampling.png")


if __name__ == "__main__":
    app.run(main)

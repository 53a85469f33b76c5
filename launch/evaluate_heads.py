"""Measure a bundle on held-out heads and print one table, clean beside occluded.

    python -m launch.evaluate --data data/openhead [--bundle runs/bundle] [--out report.json]

The data set holds what the bundle's networks look at: features, or crops. A bundle that brings its
head is measured on that. `ofer_jax/evaluate.py` and `quality.py` explain the table. With --cases 6,
cases.json beside --out gets the 6 best and the 6 worst heads as pictures.
"""

import functools
import json
import sys
from pathlib import Path

from absl import app, flags, logging

from data_pipelines import data_card
from launch import judged, seen
from ofer_jax import atomic, evaluate, head_cases, quality

BUNDLE = flags.DEFINE_string("bundle", None, "bundle directory; without it the embedded one")
DATA = flags.DEFINE_string("data", None, "data set directory with features", required=True)
SPLIT = flags.DEFINE_string("split", "test", "split of the data set")
SAMPLES = flags.DEFINE_integer("samples", 100, "identities drawn for each picture", 2)
EXPRESSIONS = flags.DEFINE_integer("expressions", 15, "expressions drawn for each picture", 1)
LIMIT = flags.DEFINE_integer("limit", None, "measure the first heads only", 1)
SEED = flags.DEFINE_integer("seed", 0, "of the samples and of the bootstrap")
BATCH = flags.DEFINE_integer("batch", 8, "pictures at a time", 1)
CASES = flags.DEFINE_integer("cases", 0, "best and worst heads to draw, beside --out", 0)
OUT = flags.DEFINE_string("out", None, "where to write all figures as JSON")


def run() -> tuple[dict, dict | None]:
    """The report of the flags' bundle on the flags' split; and the cases, if they are wanted."""
    if CASES.value:
        data_card.read(DATA.value)  # pictures come from its records
    on = judged.load(BUNDLE.value, DATA.value, SPLIT.value, LIMIT.value)
    sizes = {"samples": SAMPLES.value, "expressions": EXPRESSIONS.value, "seed": SEED.value}
    figures = evaluate.evaluate(*on, batch=BATCH.value, **sizes)
    about = {
        "command": " ".join(["python -m launch.evaluate", *sys.argv[1:]]),
        "head": on.head.identity,
        "bundle": on.bundle.config["params_sha256"],
        "split": SPLIT.value,
        **sizes,
    }
    subject = on.arrays["subject"]
    report = quality.report(figures, subject=subject, about=about, seed=SEED.value)
    return report, draw(on, figures) if CASES.value else None


def draw(on: judged.Judged, figures: dict) -> dict:
    """The best and the worst heads as pictures."""
    features = on.bundle.task("idrank")[0]["features"]["name"]
    sizes = {"samples": SAMPLES.value, "seed": SEED.value, "batch": BATCH.value}
    look = functools.partial(seen.pictures, DATA.value, SPLIT.value, features, on.arrays)
    return head_cases.run(*on, figures, look, count=CASES.value, **sizes)


def main(argv: list[str]) -> None:
    """Print the table; a ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    try:
        if CASES.value and not OUT.value:
            raise ValueError("--cases need --out, beside which they are written")
        report, cases = run()
    except ValueError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        sys.exit(2)
    print(quality.table(report))
    if OUT.value:
        if cases:
            atomic.write_text(Path(OUT.value).with_name("cases.json"), json.dumps(cases) + "\n")
        atomic.write_text(OUT.value, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)

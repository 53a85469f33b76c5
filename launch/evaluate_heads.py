"""Measure a bundle on held-out heads and print one table, clean beside occluded.

    python -m launch.evaluate --data data/openhead [--bundle runs/bundle] [--out report.json]

The data set holds what the bundle's networks look at: features, or crops. A bundle that brings its
head is measured on that. `ofer_jax/evaluate.py` and `quality.py` explain rows and intervals.
"""

import json
import sys

import jax
from absl import app, flags, logging

from data_pipelines import input as data_input
from launch import setup
from ofer_jax import atomic, evaluate, flame, openhead, quality
from ofer_jax import bundle as bundles

BUNDLE = flags.DEFINE_string("bundle", None, "bundle directory; without it the embedded one")
DATA = flags.DEFINE_string("data", None, "data set directory with features", required=True)
SPLIT = flags.DEFINE_string("split", "test", "split of the data set")
SAMPLES = flags.DEFINE_integer("samples", 100, "identities drawn for each picture", 2)
EXPRESSIONS = flags.DEFINE_integer("expressions", 15, "expressions drawn for each picture", 1)
LIMIT = flags.DEFINE_integer("limit", None, "measure the first heads only", 1)
SEED = flags.DEFINE_integer("seed", 0, "of the samples and of the bootstrap")
BATCH = flags.DEFINE_integer("batch", 8, "pictures at a time", 1)
OUT = flags.DEFINE_string("out", None, "where to write all figures as JSON")


def run() -> dict:
    """The report of the flags' bundle on the flags' split."""
    path = BUNDLE.value or openhead.bundle_path()
    head, surface = setup.head_of({"head": bundles.head_path(path) or "open"})
    bundle = bundles.load(path, head)
    features = bundle.task("idgen")[0]["features"]["name"]
    meta = data_input.read_meta(DATA.value, SPLIT.value, features)
    if meta["head"]["sha256"] != head.sha256:
        made = flame.title(meta["head"])
        raise ValueError(f"{DATA.value} shows the head {made}, not {flame.title(head.identity)}")
    bundles.check_projection(bundle, meta["projection"])
    arrays = data_input.load_split(DATA.value, SPLIT.value, features)
    if LIMIT.value:  # else rows stay on disk until they are asked for
        arrays = jax.tree.map(lambda array: array[: LIMIT.value], arrays)
    sizes = {"samples": SAMPLES.value, "expressions": EXPRESSIONS.value, "seed": SEED.value}
    figures = evaluate.evaluate(bundle, head, surface, arrays, batch=BATCH.value, **sizes)
    about = {
        "command": " ".join(["python -m launch.evaluate", *sys.argv[1:]]),
        "head": head.identity,
        "bundle": bundle.config["params_sha256"],
        "split": SPLIT.value,
        **sizes,
    }
    return quality.report(figures, subject=arrays["subject"], about=about, seed=SEED.value)


def main(argv: list[str]) -> None:
    """Print the table; a ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    try:
        report = run()
    except ValueError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        sys.exit(2)
    print(quality.table(report))
    if OUT.value:
        atomic.write_text(OUT.value, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)

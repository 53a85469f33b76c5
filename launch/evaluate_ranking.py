"""Measure the choice among a bundle's samples on held-out heads, for any number N of samples.

    python -m launch.evaluate ranking --data data/openhead [--bundle runs/bundle] [--out DIR]

Rows: average, random, mean of the samples, medoid, nearest to the mean, ranked, oracle, the
deterministic regressor; the recovered share of the gap between average and oracle as a curve over
N, NDCG and top-1, with paired bootstrap intervals. `ofer_jax/ranking.py` explains them.
"""

import sys

from absl import app, flags, logging

from launch import judged
from ofer_jax import ranking, ranking_report

BUNDLE = flags.DEFINE_string("bundle", None, "bundle directory; without it the embedded one")
DATA = flags.DEFINE_string("data", None, "data set directory with features", required=True)
SPLIT = flags.DEFINE_string("split", "test", "split of the data set")
SIZES = flags.DEFINE_list("sizes", list(map(str, ranking.SIZES)), "numbers of samples N")
LIMIT = flags.DEFINE_integer("limit", None, "measure the first heads only", 1)
SEED = flags.DEFINE_integer("seed", 0, "of the samples and of the bootstrap")
BATCH = flags.DEFINE_integer("batch", 2, "pictures at a time", 1)
OUT = flags.DEFINE_string("out", None, "folder for report.json, report.md and report.png")


def run() -> dict:
    """The report of the flags' bundle on the flags' split."""
    try:
        sizes = [int(size) for size in SIZES.value]
    except ValueError:
        raise ValueError(f"--sizes are whole numbers with commas, not {SIZES.value}") from None
    on = judged.load(BUNDLE.value, DATA.value, SPLIT.value, LIMIT.value)
    figures = ranking.measure(
        on.bundle, on.head, on.surface, on.arrays, sizes=sizes, seed=SEED.value, batch=BATCH.value
    )
    about = {
        "command": " ".join(["python -m launch.evaluate ranking", *sys.argv[1:]]),
        "head": on.head.identity,
        "bundle": on.bundle.config["params_sha256"],
        "split": SPLIT.value,
        "seed": SEED.value,
    }
    subject = on.arrays["subject"]
    return ranking_report.report(figures, subject=subject, about=about, seed=SEED.value)


def main(argv: list[str]) -> None:
    """Print the tables; a ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    judged.tell("ranking", run, ranking_report.table, ranking_report.draw, OUT.value)


if __name__ == "__main__":
    app.run(main)

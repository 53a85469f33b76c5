"""Measure the choice among a bundle's samples on held-out heads, for any number N of samples.

    python -m launch.evaluate ranking --data data/openhead [--bundle runs/bundle] [--out DIR]
        [--against runs/published]

Rows: average, random, mean of the samples, medoid, nearest to the mean, ranked, oracle, the
deterministic regressor; the recovered share of the gap between average and oracle as a curve over
N, NDCG and top-1, with paired bootstrap intervals. `ofer_jax/ranking.py` explains them. The ranker
of the bundle --against orders the very same samples, for rows of its own and the paired difference.
"""

import re
import sys
from pathlib import Path

from absl import app, flags, logging

from launch import judged
from ofer_jax import bundle as bundles
from ofer_jax import ranking, ranking_report
from ofer_jax.flame import FlameModel

BUNDLE = flags.DEFINE_string("bundle", None, "bundle directory; without it the embedded one")
AGAINST = flags.DEFINE_string("against", None, "bundle whose ranker orders the same samples")
AGAINST_NAME = flags.DEFINE_string("against_name", None, "what to call it; else as its folder")
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
    against = rival(on.head)
    figures = ranking.measure(*on, sizes=sizes, seed=SEED.value, batch=BATCH.value, against=against)
    about = {
        "command": " ".join(["python -m launch.evaluate ranking", *sys.argv[1:]]),
        "head": on.head.identity,
        "bundle": on.bundle.config["params_sha256"],
        "split": SPLIT.value,
        "seed": SEED.value,
    }
    if against:
        about["against"] = {n: b.config["params_sha256"] for n, b in against.items()}
    subject = on.arrays["subject"]
    return ranking_report.report(figures, subject=subject, about=about, seed=SEED.value)


def rival(head: FlameModel) -> dict[str, bundles.Bundle]:
    """The bundle --against by its name, short and fit for a table; {} if there is none."""
    if not AGAINST.value:
        return {}
    name = AGAINST_NAME.value or Path(AGAINST.value).resolve().name
    return {re.sub(r"[^\w.+-]+", "_", name)[:24]: bundles.load(AGAINST.value, head)}


def main(argv: list[str]) -> None:
    """Print the tables; a ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    judged.tell("ranking", run, ranking_report.table, ranking_report.draw, OUT.value)


if __name__ == "__main__":
    app.run(main)

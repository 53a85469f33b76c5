"""Draw the synthetic set, write it as a TFDS data set, and make its features or aligned crops.

    python -m launch.build_dataset --out data/openhead --subjects 13000 --seed 0 --features open

The same seed gives the same content (`content_hash` in OUT/data_card.json) whatever the number of
workers. A rerun goes on: a finished data set and finished parts of the passes after it stay.
`crops` are aligned ones, which the paper's encoders train on (`open,crops` makes both).
`--fit_projection PATH` first fits the features' projection; so was the embedded one made.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging

from data_pipelines import crop_pass, feature_pass, finished, openhead_tfds
from data_pipelines.synthetic import example
from ofer_jax import cli, flame, openhead

OUT = flags.DEFINE_string("out", None, "folder of the data set", required=True)
SUBJECTS = flags.DEFINE_integer("subjects", 13000, "heads, each with one pair of pictures", 1)
SEED = flags.DEFINE_integer("seed", 0, "of everything drawn", 0)
VALIDATION = flags.DEFINE_float("validation_share", 0.04, "share below 1, or a count", 0.0)
TEST = flags.DEFINE_float("test_share", 0.04, "share below 1, or a count", 0.0)
WORKERS = flags.DEFINE_integer("workers", 2, "processes, each on one core", 1)
OVERWRITE = flags.DEFINE_boolean("overwrite", False, "replace another data set in --out")
FEATURES = flags.DEFINE_list("features", "none", "what to make afterwards: none, open, crops")
PASS_WORKERS = flags.DEFINE_integer("feature_workers", None, "the same for that; 0 for a GPU", 0)
PROJECTION = flags.DEFINE_string("projection", None, "projection.npz (default: the embedded one)")
FIT = flags.DEFINE_string("fit_projection", None, "fit the projection first and write it here")
FIT_PAIRS = flags.DEFINE_integer("fit_pairs", 4000, "train pairs to fit it on", 2)
KEEP_RAW = flags.DEFINE_boolean("keep_raw", False, "keep the raw features (40 kB a pair)")


def build() -> None:
    """The data set, and what else is asked for."""
    if unknown := set(FEATURES.value) - {"none", "open", "crops"}:
        raise ValueError(f"--features knows none, open and crops, not {min(unknown)!r}")
    cli.keep_compiled()
    head = flame.load(openhead.head_path())
    card = openhead_tfds.build(
        OUT.value,
        make=example.make,
        head=head.identity,
        counts=openhead_tfds.split_counts(SUBJECTS.value, VALIDATION.value, TEST.value),
        seed=SEED.value,
        workers=WORKERS.value,
        overwrite=OVERWRITE.value,
    )
    print(f"{OUT.value}: {card['counts']}, {card['bytes'] / 1e6:.1f} MB")
    print(f"content hash {card['content_hash']}")
    workers = WORKERS.value if PASS_WORKERS.value is None else PASS_WORKERS.value
    if "open" in FEATURES.value:
        metas = feature_pass.run(
            OUT.value,
            projection=FIT.value or PROJECTION.value,
            fit=FIT_PAIRS.value if FIT.value else 0,
            workers=workers,
            keep_raw=KEEP_RAW.value,
        )
        print(finished.summary(metas))
    if "crops" in FEATURES.value:
        print(finished.summary(crop_pass.run(OUT.value, workers=workers)))


def main(argv: Sequence[str]) -> None:
    """A ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)  # TFDS tells of every file
    try:
        build()
    except ValueError as error:
        print(f"build_dataset: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)

"""Write a TFDS data set: the synthetic one, or (`--set`) a licensed set of real pictures.

    python -m launch.build_dataset --out data/openhead --subjects 13000 --seed 0 --features open
    python -m launch.build_dataset --set lyhm --source DIR --flame FLAME.pkl --out data/lyhm

The same input gives the same content (`content_hash` in OUT/data_card.json) whatever the number of
workers. A rerun goes on: a finished data set, prepared parts of real pictures, and finished parts
of the passes after it stay. What cannot be used is in OUT/rejected.jsonl, with the reason; more
than --max_rejected of it is an error. `--runner` prepares by Apache Beam, on a cluster if need be.

`--features` then makes features or crops: `crops` are aligned ones, which the paper's encoders
train on, arcface and farl those encoders' own (`open,crops` makes both).
`--fit_projection PATH` first fits the open features' projection; so was the embedded one made.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging

from data_pipelines import faces_tfds, openhead_tfds
from data_pipelines.synthetic import example
from launch import build_faces, features
from ofer_jax import compiled, flame, openhead

OUT = flags.DEFINE_string("out", None, "folder of the data set", required=True)
SUBJECTS = flags.DEFINE_integer("subjects", 13000, "heads, each with one pair of pictures", 1)
SEED = flags.DEFINE_integer("seed", 0, "of everything drawn", 0)
VALIDATION = flags.DEFINE_float("validation_share", 0.04, "share of the people below 1", 0.0)
TEST = flags.DEFINE_float("test_share", 0.04, "the same; of drawn heads also a count", 0.0)
WORKERS = flags.DEFINE_integer("workers", 2, "processes, each on one core", 1)
OVERWRITE = flags.DEFINE_boolean("overwrite", False, "replace another data set in --out")
for part in (build_faces, features):
    flags.adopt_module_key_flags(part)  # so that --help shows them


def build() -> None:
    """The data set, and what else is asked for."""
    encoders = features.check()
    compiled.keep()
    if build_faces.SET.value:
        shares = (VALIDATION.value, TEST.value)
        card = build_faces.build(
            OUT.value, shares=shares, workers=WORKERS.value, overwrite=OVERWRITE.value
        )
        print(faces_tfds.summary(card))
    else:
        card = openhead_tfds.build(
            OUT.value,
            make=example.make,
            head=flame.load(openhead.head_path()).identity,
            counts=openhead_tfds.split_counts(SUBJECTS.value, VALIDATION.value, TEST.value),
            seed=SEED.value,
            workers=WORKERS.value,
            overwrite=OVERWRITE.value,
        )
    print(f"{OUT.value}: {card['counts']}, {card['bytes'] / 1e6:.1f} MB")
    print(f"content hash {card['content_hash']}")
    features.run(OUT.value, encoders, WORKERS.value)


def main(argv: Sequence[str]) -> None:
    """A ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)  # TFDS tells of every file
    try:
        build()
    except (ValueError, OSError) as error:
        print(f"build_dataset: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)

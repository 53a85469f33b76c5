"""Look at a data set: counts, what was left out and why, how its values are spread, and a sheet.

    python -m launch.inspect_data --data data/lyhm --flame PATH --out sheet.png [--split train]

Each row of the sheet is a picture drawn at random (another `--seed`, others): with its landmarks,
with its mesh over it, hidden by an occluder whose mask is outlined. The meshes of a set of
photographs need the FLAME that it was made with. `--verify` reads everything again and compares the
content hash.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging
from PIL import Image

from data_pipelines import data_card, faces_tfds, inspection, openhead_tfds, pairs, records
from ofer_jax import atomic, flame, openhead

DATA = flags.DEFINE_string("data", None, "folder of the data set (or the only argument)")
SPLIT = flags.DEFINE_enum("split", "train", records.SPLITS, "split to look at")
COUNT = flags.DEFINE_integer("count", 12, "pictures on the sheet", 1)
COLUMNS = flags.DEFINE_integer("columns", 2, "of the sheet", 1)
SEED = flags.DEFINE_integer("seed", 0, "of which are looked at", 0)
OUT = flags.DEFINE_string("out", None, "where to write the sheet (PNG)")
FLAME = flags.DEFINE_string("flame", None, "the FLAME of the coefficients: a folder, .pkl or .npz")
VERIFY = flags.DEFINE_boolean("verify", False, "read everything and compare the content hash")


def inspect(directory: str) -> None:
    """Prints the figures and writes the sheet."""
    card = data_card.read(directory)
    found = inspection.sample(directory, SPLIT.value, SEED.value)
    print(inspection.report(directory, found))
    if OUT.value:
        heads = [flame.load(path) for path in (FLAME.value, openhead.head_path()) if path]
        head = inspection.head_of(directory, heads)
        if head is None:
            title = flame.title(card["head"])
            print(f"no meshes on the sheet: they take the head {title} (--flame PATH)")
        picture = inspection.sheet(found[: COUNT.value], head, SEED.value, COLUMNS.value)
        with atomic.writing(OUT.value) as beside:
            Image.fromarray(picture).save(beside, format="PNG")
    verify = {"faces": faces_tfds, "open_head": openhead_tfds}[pairs.kind(card)].verify
    if VERIFY.value and verify(directory) != card["content_hash"]:
        raise ValueError(f"{directory} does not have the content its card names; build it again")


def main(argv: Sequence[str]) -> None:
    """A ValueError is one line and exit status 2."""
    given = [*argv[1:], *filter(None, [DATA.value])]
    if len(given) != 1:
        raise app.UsageError(f"one data set is needed, by --data; there are {len(given)}")
    logging.set_verbosity(logging.WARNING)  # TFDS tells of every file
    try:
        inspect(given[0])
    except (ValueError, OSError) as error:
        print(f"inspect_data: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)

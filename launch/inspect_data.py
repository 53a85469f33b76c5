"""Look at a data set: counts, how its values are spread, and a sheet of pictures.

    python -m launch.inspect_data --data data/openhead [--split train] [--out sheet.png] [--verify]

A pair a tile: the clean picture with its 68 landmarks, the occluded one with the mask outlined.
`--verify` reads everything again and compares the content hash.
"""

import collections
import sys
from collections.abc import Sequence

import numpy as np
from absl import app, flags, logging
from PIL import Image

from data_pipelines import data_card, openhead_tfds, records
from ofer_jax import render

DATA = flags.DEFINE_string("data", None, "folder of the data set", required=True)
SPLIT = flags.DEFINE_enum("split", "train", records.SPLITS, "split to look at")
COUNT = flags.DEFINE_integer("count", 24, "pairs to look at, evenly over the split", 1)
OUT = flags.DEFINE_string("out", None, "where to write the sheet (PNG)")
VERIFY = flags.DEFINE_boolean("verify", False, "read everything and compare the content hash")
BARS = " ▁▂▃▄▅▆▇█"


def histogram(name: str, values: np.ndarray, unit: str) -> str:
    """One line: smallest, bars, largest, mean."""
    counts, edges = np.histogram(values, bins=24)
    bars = "".join(BARS[int(np.ceil(8 * count / counts.max()))] for count in counts)
    return f"{name:>12} {edges[0]:8.2f} |{bars}| {edges[-1]:8.2f} {unit}, mean {values.mean():.2f}"


def pair(record: dict) -> np.ndarray:
    """The clean picture with landmarks beside the occluded one with the mask's outline."""
    clean, occluded, mask = (record[name].copy() for name in records.PICTURES)
    for step in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = np.clip(np.rint(record["landmarks"] + step).astype(int), 0, records.SIZE - 1).T
        clean[y, x] = (0, 255, 0)
    inner = mask[1:-1, 1:-1] & mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 2:] & mask[1:-1, :-2]
    mask[1:-1, 1:-1] &= ~inner
    occluded[mask] = (255, 0, 0)
    return np.concatenate([clean, occluded], axis=1)


def inspect() -> None:
    """Prints the figures and writes the sheet."""
    card = data_card.read(DATA.value)
    print(f"{card['name']} {card['version']}, head {card['head']['name']}, seed {card['seed']}")
    print(f"{card['counts']}, {card['bytes'] / 1e6:.1f} MB, content hash {card['content_hash']}")
    source = records.open_split(DATA.value, SPLIT.value)
    rows = np.unique(np.linspace(0, len(source) - 1, COUNT.value).astype(int))
    found = [source[int(row)] for row in rows]
    pitch, yaw, roll = 180 / np.pi * np.array([record["global_rotation"] for record in found]).T
    lines = {"pitch": (pitch, "deg"), "yaw": (yaw, "deg"), "roll": (roll, "deg")}
    lines["jaw"] = (np.array([180 / np.pi * record["jaw"][0] for record in found]), "deg")
    lines["occluded"] = (np.array([100 * record["mask"].mean() for record in found]), "% of pixels")
    print("\n".join(histogram(name, *value) for name, value in lines.items()))
    print(dict(collections.Counter(record["occluder"] for record in found).most_common()))
    if OUT.value:
        Image.fromarray(render.tile([pair(record) for record in found], 4)).save(OUT.value)
    if VERIFY.value and openhead_tfds.verify(DATA.value) != card["content_hash"]:
        raise ValueError(f"{DATA.value} does not have the content its card names; build it again")


def main(argv: Sequence[str]) -> None:
    """A ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)  # TFDS tells of every file
    try:
        inspect()
    except (ValueError, OSError) as error:
        print(f"inspect_data: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)

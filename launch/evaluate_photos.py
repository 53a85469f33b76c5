"""Check a bundle on photographs: any folder of pictures of faces will do, no ground truth needed.

    python -m launch.evaluate photos FOLDER [--bundle runs/bundle] [--out out/photos]

Is the answer for a photograph stable when the picture changes but for the face (mirrored,
re-cropped, dimmed, recompressed), and does it explain points of the picture better than the mean
face does? Prints tables; with --out FOLDER also writes report.json, report.md and report.png there.
With --data the spread is compared with that data set's held-out heads, and reprojection is measured
on its pictures, too, whose form is known. `ofer_jax/photo_checks` explains every row.
"""

import sys

import numpy as np
from absl import app, flags, logging

from launch import held_out_pictures, judged
from ofer_jax import photo_checks, photos, reconstruct
from ofer_jax.photo_checks import report as reports

BUNDLE = flags.DEFINE_string("bundle", None, "bundle directory; without it the embedded one")
DATA = flags.DEFINE_string(
    "data", None, "data set of the same head, of which the test split is used"
)
PICTURES = flags.DEFINE_integer("pictures", 100, "held-out pictures of --data to look at", 3)
SAMPLES = flags.DEFINE_integer("samples", 100, "identities drawn for each picture", 2)
EXPRESSIONS = flags.DEFINE_integer("expressions", 15, "expressions drawn for each picture", 1)
SEED = flags.DEFINE_integer("seed", 0, "of the samples and of the bootstrap")
OUT = flags.DEFINE_string("out", None, "folder for report.json, report.md and report.png")

HEADS = 200  # of which the spread is measured


def run(folder: str, command: str) -> dict:
    """The report of the flags' bundle on the pictures of a folder."""
    files, faults = photos.find([folder])
    if faults:
        raise faults[0]
    pictures = [photos.read(file) for file in files]
    reconstructor = reconstruct.load(BUNDLE.value)
    sizes = {"samples": SAMPLES.value, "expressions": EXPRESSIONS.value, "seed": SEED.value}
    heads, known = None, {}
    if DATA.value:
        some = held_out_pictures.first(DATA.value, reconstructor.head, HEADS)
        heads = np.stack([shape for _, shape in some])
        some = some[: PICTURES.value]
        known["held-out pictures"] = photo_checks.known(reconstructor, some, **sizes)
    found = photo_checks.run(reconstructor, pictures, heads=heads, **sizes)
    about = {
        "command": command,
        "head": reconstructor.head.identity,
        "bundle": reconstructor.bundle.config["params_sha256"],
        **sizes,
    }
    return about | found | known


def main(argv: list[str]) -> None:
    """Print the tables; a ValueError is one line and exit status 2."""
    if len(argv) != 2:
        raise app.UsageError("give one folder of photographs")
    logging.set_verbosity(logging.WARNING)
    command = " ".join(["python -m launch.evaluate photos", *sys.argv[1:]])
    judged.tell("photos", lambda: run(argv[1], command), reports.table, reports.draw, OUT.value)


if __name__ == "__main__":
    app.run(main)

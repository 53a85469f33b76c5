"""OOX-1, our protocol for occluded expressive faces, on held-out pictures with known faces.

    python -m launch.evaluate expressions --data data/openhead [--bundle runs/bundle] [--out DIR]

Any set built by launch.build_dataset will do whose expressions are known. Error of the closest and
of all samples on visible and hidden vertices, spread, how often the truth lies inside the samples'
central 50 % and 90 %, and how plausible samples are. `ofer_jax/occluded_expressions` explains them.
"""

import sys

from absl import app, flags, logging

from data_pipelines import input as data_input
from launch import judged, occlusions
from ofer_jax import occluded_expressions as protocol
from ofer_jax.occluded_expressions import plausibility, report

BUNDLE = flags.DEFINE_string("bundle", None, "bundle directory; without it the embedded one")
DATA = flags.DEFINE_string("data", None, "data set directory with features", required=True)
SPLIT = flags.DEFINE_string("split", "test", "split of the data set")
REFERENCE = flags.DEFINE_string("reference", "train", "split whose faces are called plausible")
SAMPLES = flags.DEFINE_integer("samples", 100, "faces drawn for each picture", 2)
LIMIT = flags.DEFINE_integer("limit", None, "measure the first pictures only", 1)
SEED = flags.DEFINE_integer("seed", 0, "of the samples and of the bootstrap")
BATCH = flags.DEFINE_integer("batch", 4, "pictures at a time", 1)
OUT = flags.DEFINE_string("out", None, "folder for report.json, report.md and report.png")


def run() -> dict:
    """The report of the flags' bundle on the flags' split."""
    on = judged.load(BUNDLE.value, DATA.value, SPLIT.value, LIMIT.value)
    features = on.bundle.task("idgen")[0]["features"]["name"]
    seen = (on.head, on.surface["region_face"])
    groups = occlusions.groups(DATA.value, SPLIT.value, features, on.arrays, *seen)
    known = data_input.load_split(DATA.value, REFERENCE.value, features)
    judge = plausibility.Judge(known, on.bundle.task("expgen")[0]["num_expression"])
    sizes = {"samples": SAMPLES.value, "seed": SEED.value}
    measured = protocol.measure(*on, groups, batch=BATCH.value, distance=judge, **sizes)
    about = {
        "protocol": protocol.NAME,
        "command": " ".join(["python -m launch.evaluate expressions", *sys.argv[1:]]),
        "head": on.head.identity,
        "bundle": on.bundle.config["params_sha256"],
        "split": SPLIT.value,
        **sizes,
    }
    truth = judge(*(on.arrays[name] for name in ("shape", "expression", "jaw")))
    own = {"subject": on.arrays["subject"], "truth": truth, "seed": SEED.value}
    return report.report(measured, about=about, **own)


def main(argv: list[str]) -> None:
    """Print the tables; a ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    logging.set_verbosity(logging.WARNING)
    judged.tell("expressions", run, report.table, report.draw, OUT.value)


if __name__ == "__main__":
    app.run(main)

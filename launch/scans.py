"""What the evaluations against scans share: flags, the head, checks, report."""

import sys
from pathlib import Path
from typing import Any

from absl import flags

from ofer_jax import bundle as bundles
from ofer_jax import flame, openhead
from ofer_jax.now import benchmark, curves, heads, run, submission, table
from ofer_jax.now.benchmark import Plan

PREDICTIONS = flags.DEFINE_string("predictions", None, "folder of the predicted meshes")
BUNDLE = flags.DEFINE_string("bundle", None, "reconstruct with this bundle ('default': embedded)")
DATASET = flags.DEFINE_string("dataset", None, "folder of the data set, as it was downloaded")
LIST = flags.DEFINE_string("list", None, "CSV of pictures and scans instead of --dataset")
CHALLENGE = flags.DEFINE_multi_string("challenge", [], "this one only (may be repeated)")
METRICAL = flags.DEFINE_boolean("metrical", False, "keep the predictions' own size")
UNIT = flags.DEFINE_enum("unit", None, ["mm", "cm", "m"], "of the predictions (a bundle's are m)")
HEAD = flags.DEFINE_string("flame", None, "FLAME file of the mean face (default: the bundle's)")
PARTIAL = flags.DEFINE_boolean("partial", False, "go on without missing predictions")
CHOICE = flags.DEFINE_enum("choice", "ranked", submission.CHOICES, "which shape of the samples")
SAMPLES = flags.DEFINE_integer("samples", 100, "shapes drawn for each picture", 2)
SEED = flags.DEFINE_integer("seed", 0, "of the samples")
WORKERS = flags.DEFINE_integer("workers", None, "processes (default: all cores)", 0)


def bundle_path() -> Path | None:
    """The folder of the flags' bundle."""
    if BUNDLE.value == "default":
        return openhead.bundle_path()
    return Path(BUNDLE.value) if BUNDLE.value else None


def check_flags() -> None:
    """Raise a ValueError unless there is something to measure, against something."""
    if not (DATASET.value or LIST.value):
        raise ValueError("give --dataset, the folder of the data set")
    if bool(PREDICTIONS.value) == bool(BUNDLE.value):
        raise ValueError("give either --predictions, a folder of meshes, or --bundle")


def submit(items: Any, out: Path) -> tuple[Path, str, list[str]]:
    """(folder, unit, failures) of the predictions: the user's, or made now by the bundle."""
    if not BUNDLE.value:
        return Path(PREDICTIONS.value or ""), UNIT.value or "", []
    from ofer_jax import reconstruct  # the user's own meshes need no networks

    folder = out / "submission"
    sampling = submission.Sampling(SAMPLES.value, SEED.value, CHOICE.value)
    made = reconstruct.load(bundle_path(), HEAD.value)
    return folder, "m", submission.write(made, items, folder, sampling)


def measure(plan: Plan, out: Path, failures: list[str]) -> None:
    """Checks, and if nothing is wrong, figures: on the screen and in the folder."""
    path = bundle_path()
    source = HEAD.value or (path and bundles.head_path(path)) or openhead.head_path()
    head = flame.load(source)
    workers = run.cores() if WORKERS.value is None else WORKERS.value
    findings = benchmark.look(plan, heads.neutral(head), workers)
    findings.notes += failures
    for line in run.lines(findings):
        print(line, file=sys.stderr)
    if findings.errors:
        raise ValueError(f"{len(findings.errors)} errors above; no figure is made")
    report = benchmark.evaluate(plan, head, out, workers)
    word = Path(sys.argv[0]).stem.removeprefix("evaluate_")
    report |= {"command": " ".join(["python -m launch.evaluate", word, *sys.argv[1:]])}
    report["notes"] += findings.notes
    benchmark.write(report, out)
    print(table.text(report))
    try:
        curves.draw(report, out / "curve.png")
    except ValueError as error:  # no matplotlib
        print(f"no curve: {error}", file=sys.stderr)

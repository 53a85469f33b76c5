"""One HTML page of all that can be measured of a bundle, in a single file.

    python -m launch.evaluate report --data data/openhead [--photos FOLDER] [--from out/now]

Runs heads, ranking and expressions on --data and photos on --photos, each into OUT/WORD; what was
measured of the same before is not measured again. --from takes the figures of a finished command.
"""

import datetime
import sys
from pathlib import Path

from absl import app, flags

from launch import record
from launch import report_parts as parts
from ofer_jax import atomic
from ofer_jax import evaluation_page as page

BUNDLE = flags.DEFINE_string("bundle", None, "bundle directory; without it the embedded one")
DATA = flags.DEFINE_string("data", None, "data set directory with features")
PHOTOS = flags.DEFINE_string("photos", None, "folder of photographs, which need no ground truth")
FROM = flags.DEFINE_multi_string("from", [], "folder with a finished report.json (repeatable)")
WORDS = ("heads", "ranking", "expressions")
MEASURE = flags.DEFINE_multi_enum("measure", WORDS, WORDS, "on --data, only this (repeatable)")
SAMPLES = flags.DEFINE_integer("samples", 100, "faces drawn for each picture", 2)
SIZES = flags.DEFINE_string("sizes", None, "numbers of samples N of ranking (default: its own)")
LIMIT = flags.DEFINE_integer("limit", None, "measure the first heads only", 1)
CASES = flags.DEFINE_integer("cases", 6, "best and worst heads to draw", 0)
SEED = flags.DEFINE_integer("seed", 0, "of the samples and of the bootstrap")
OUT = flags.DEFINE_string("out", "out/report", "folder of report.html and of the figures")


def commands() -> dict[str, list[str]]:
    """Each command that has to be run, with its words."""
    on = {"data": DATA.value, "bundle": BUNDLE.value, "seed": SEED.value}
    few, samples = {**on, "limit": LIMIT.value}, {"samples": SAMPLES.value}
    every = {
        "heads": few | samples | {"cases": CASES.value},
        "ranking": few | {"sizes": SIZES.value},
        "expressions": few | samples,
    }
    found = {w: parts.words(every[w]) for w in WORDS if DATA.value and w in MEASURE.value}
    if PHOTOS.value:
        some = max(3, min(100, LIMIT.value)) if DATA.value and LIMIT.value else None
        found["photos"] = [PHOTOS.value, *parts.words(on | samples | {"pictures": some})]
    return found


def run() -> Path:
    """The page of the flags' figures."""
    given = [found for folder in FROM.value for found in page.read(folder)]
    todo = {w: words for w, words in commands().items() if w not in {f.kind for f in given}}
    if not todo and not given:
        raise ValueError("nothing to report: give --data, --photos or --from")
    seen = {word: [PHOTOS.value or ""] if word == "photos" else [] for word in todo}
    of = {word: parts.made_of(BUNDLE.value, DATA.value, seen[word]) for word in todo}
    for word, words in todo.items():
        given += page.read(parts.measured(word, words, Path(OUT.value), of[word]))
    about = {"Data": Path(DATA.value).name} if DATA.value else {}
    about["Made"] = str(datetime.date.today())
    about["command"] = " ".join(["python -m launch.evaluate report", *sys.argv[1:]])
    path, given = Path(OUT.value) / "report.html", page.illustrated(given, PHOTOS.value)
    atomic.write_text(path, page.write(given, about, record.told))
    return path


def main(argv: list[str]) -> None:
    """Say where the page is; a ValueError is one line and exit status 2."""
    if argv[1:]:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    try:
        print(run())
    except (ValueError, OSError) as error:
        print(f"evaluate report: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)

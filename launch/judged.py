"""A bundle and the held-out pictures that it is judged on; and what its commands write."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from data_pipelines import input as data_input
from launch import setup
from ofer_jax import atomic, flame, openhead
from ofer_jax import bundle as bundles


class Judged(NamedTuple):
    """A bundle, its head, what is known of the head's surface, and the arrays of a split."""

    bundle: bundles.Bundle
    head: flame.FlameModel
    surface: Any
    arrays: dict[str, Any]


def load(path: str | None, data: str, split: str, limit: int | None) -> Judged:
    """The bundle at `path` (None: the embedded one) and a split of `data`, the first `limit` rows.

    Raises a ValueError of one line if they do not fit each other or are not there.
    """
    where = path or openhead.bundle_path()
    head, surface = setup.head_of({"head": bundles.head_path(where) or "open"})
    bundle = bundles.load(where, head)
    features = bundle.task("idrank")[0]["features"]["name"]  # what the others read, or more
    meta = data_input.read_meta(data, split, features)
    if meta["head"]["sha256"] != head.sha256:
        made = flame.title(meta["head"])
        raise ValueError(f"{data} shows the head {made}, not {flame.title(head.identity)}")
    bundles.check_projection(bundle, meta["projection"])
    arrays = data_input.load_split(data, split, features)
    if limit:  # else rows stay on disk until they are asked for
        arrays = jax.tree.map(lambda array: array[:limit], arrays)
    return Judged(bundle, head, surface, arrays)


def tell(
    word: str,
    run: Callable[[], dict[str, Any]],
    table: Callable[[dict[str, Any]], str],
    draw: Callable[[dict[str, Any], Path], None],
    out: str | None,
) -> None:
    """Prints the table of what `run` finds and writes report.json, .md and .png into `out`; a
    ValueError is one line and exit status 2."""
    try:
        report = run()
        print(table(report))
        if out:
            folder = Path(out)
            atomic.write_text(folder / "report.json", json.dumps(report, indent=1) + "\n")
            atomic.write_text(folder / "report.md", table(report) + "\n")
            try:
                draw(report, folder / "report.png")
            except ValueError as error:  # no matplotlib
                print(f"no picture: {error}", file=sys.stderr)
    except (ValueError, OSError) as error:
        print(f"evaluate {word}: {error}", file=sys.stderr)
        sys.exit(2)

"""Finished reports, from the folders that the commands of `launch.evaluate` wrote them into."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ofer_jax.evaluation_page import thumbnails
from ofer_jax.evaluation_page.page import Found, kind


def read(folder: str | Path) -> list[Found]:
    """The reports in a folder, or one below it (as `now` writes them), with their pictures.

    Raises:
      ValueError: there is none, or one of another command.
    """
    paths = [path for path in (Path(folder), Path(folder) / "report.json") if path.is_file()]
    paths = paths[:1] or sorted(Path(folder).glob("*/report.json"))
    if not paths:
        raise ValueError(f"{folder} holds no report.json of python -m launch.evaluate")
    return [_found(path) for path in paths]


def illustrated(found: Sequence[Found], folder: str | None) -> list[Found]:
    """The same, those of photographs with small pictures out of their folder."""
    return [
        f._replace(cases=thumbnails.of(folder, f.report["photographs"]))
        if folder and f.kind == "photos"
        else f
        for f in found
    ]


def _found(path: Path) -> Found:
    report = _json(path)
    name = kind(report)
    if not name:
        raise ValueError(f"{path} is no report of python -m launch.evaluate")
    drawn = path.with_name("cases.json")
    cases = _json(drawn) if name == "heads" and drawn.is_file() else None
    return Found(name, report, str(path), cases)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from None

"""One's own set: a CSV with a line a picture, and the files it names beside or below it.

    image,subject,parameters        a .npz with shape, and perhaps expression, jaw, neck, eyes,
                                    global_rotation (or MICA's or OFER's names)
    image,subject,shape             up to 300 numbers, separated by spaces
    image,subject,mesh              a registered mesh; its fit is read from the folder of fits

The columns may come in any order and with others between them; each line needs one of the three.
"""

import csv
import io
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.sets import entry, frames, paths
from data_pipelines.sets.collector import Collector
from data_pipelines.sets.entry import BAD_LIST, Fault, Mesh, Truth
from data_pipelines.sets.paths import Index
from data_pipelines.sets.places import MESHES

_MAX_BYTES = 512 << 20
_NEEDED = ("image", "subject")
_TRUTHS = ("parameters", "shape", "mesh")


@dataclass(frozen=True)
class Table:
    """A CSV as it was read: its columns, and its lines with their numbers."""

    path: Path
    columns: tuple[str, ...]
    text: str

    def lines(self) -> Iterator[tuple[int, dict[str, str] | Fault]]:
        rows = csv.reader(io.StringIO(self.text), delimiter=_delimiter(self.text))
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield rows.line_num, Fault(BAD_LIST, str(error))
                continue
            if rows.line_num == 1 or not any(each.strip() for each in row):
                continue
            if len(row) != len(self.columns):
                wrong = f"{len(row)} values in {len(self.columns)} columns"
                yield rows.line_num, Fault(BAD_LIST, wrong)
            else:
                values = (each.strip() for each in row)
                yield rows.line_num, dict(zip(self.columns, values, strict=True))


def table(root: str | os.PathLike[str]) -> Table:
    """Reads the CSV, or the only one in a folder. Raises a ValueError of one line."""
    path = Path(root).absolute()
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() == ".csv")
        if len(found) != 1:
            raise ValueError(f"{root} has {len(found)} .csv files; give the one to read")
        path = found[0]
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            raise ValueError("no such file, or far too large")
        text = path.read_text(encoding="utf-8-sig").replace("\0", "")
        head = next(csv.reader(io.StringIO(text), delimiter=_delimiter(text)), [])
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV in UTF-8: {error}") from None
    columns = tuple(name.strip().lower() for name in head)
    good = set(_NEEDED) <= set(columns) and set(_TRUTHS) & set(columns)
    if not good or len(set(columns)) < len(columns):
        need = f"{' and '.join(_NEEDED)}, and one of {', '.join(_TRUTHS)}"
        raise ValueError(f"{path} needs the columns {need}; it has {', '.join(columns)[:200]}")
    return Table(path, columns, text)


def _delimiter(text: str) -> str:
    head = text.split("\n", 1)[0]
    return max(",;\t", key=head.count)


class Files:
    """Files below a folder; names may differ in case or suffix, which is looked up when needed."""

    def __init__(self, base: Path, suffixes: Collection[str]) -> None:
        self.base, self._suffixes = base, suffixes
        self._index: Index | None = None

    def find(self, text: str, missing: str) -> tuple[Path, tuple[str, ...]]:
        """The file and the parts of its name in the CSV. Raises a `Fault`."""
        parts = paths.listed(text, self.base)
        exact = self.base.joinpath(*parts)
        if exact.suffix.lower() in self._suffixes and os.path.isfile(exact):
            return exact, parts
        if self._index is None:
            self._index = Index(self.base, self._suffixes)
        found = self._index.find(parts, anywhere=False)
        if found is None:
            raise Fault(missing)
        return self.base / found, parts


def read(held: Table, pictures: Path | None, fits: Path | None, out: Collector) -> None:
    """Adds the pictures of a CSV to `out`."""
    home = held.path.parent
    shown = Files(pictures or home, paths.PICTURES)
    kept, bare = Files(home, [".npz"]), Files(home, MESHES)
    for number, row in held.lines():
        if isinstance(row, Fault):
            out.reject("", "", f"line {number}", row)
            continue
        source = paths.clean(row["image"])[:300] or f"line {number}"
        try:
            subject = _name(row["subject"])
            picture, parts = shown.find(row["image"], entry.NO_PICTURE)
            truth = _truth(row, kept, bare, fits)
            out.add(subject, paths.stem("/".join(parts)), truth, source, picture=str(picture))
        except Fault as fault:
            out.reject(row["subject"][:200], "", source, fault)


def meshes(held: Table) -> list[Mesh]:
    """The meshes that a CSV names, each once; what cannot be used is left out."""
    found, bare = {}, Files(held.path.parent, MESHES)
    for _, row in held.lines():
        if isinstance(row, Fault) or not row.get("mesh"):
            continue
        try:
            mesh = _mesh(row, bare)
        except Fault:
            continue
        found.setdefault((mesh.subject, mesh.sequence, mesh.frame), mesh)
    return [found[key] for key in sorted(found)]


def _truth(row: dict[str, str], kept: Files, bare: Files, fits: Path | None) -> Truth:
    if row.get("parameters"):
        return Truth("npz", str(kept.find(row["parameters"], entry.NO_PARAMETERS)[0]))
    if row.get("shape"):
        return Truth("inline", values=_numbers(row["shape"]))
    if not row.get("mesh"):
        raise Fault(entry.NO_PARAMETERS, "the line has none")
    mesh = _mesh(row, bare)
    path = frames.fit_path(fits, mesh) if fits else None
    if path is None or not os.path.isfile(path):
        raise Fault(entry.NO_FIT, mesh.frame)
    return Truth("npz", str(path))


def _mesh(row: dict[str, str], bare: Files) -> Mesh:
    path, _ = bare.find(row["mesh"], entry.NO_PARAMETERS)
    sequence = path.parent.relative_to(bare.base).as_posix()
    sequence = "" if sequence == "." else sequence
    return Mesh("plain", _name(row["subject"]), sequence, path.stem, str(path))


def _name(text: str) -> str:
    bad = {"", ".", ".."} & set(text.replace("\\", "/").split("/"))
    if bad or len(text) > 200 or not text.isprintable():
        raise Fault(BAD_LIST, f"{text[:60]!r} is no name of a person")
    return text


def _numbers(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(each) for each in text.split())
    except ValueError:
        raise Fault(BAD_LIST, "shape is not numbers separated by spaces") from None
    if not 0 < len(values) <= 300:
        raise Fault(entry.WRONG_SHAPE, f"shape has {len(values)} numbers")
    return values

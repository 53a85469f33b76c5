"""Sets of registered meshes, FaMoS and CoMA: one mesh, one set of coefficients a moment.

    MESHES/SUBJECT/SEQUENCE/FRAME.ply
    FITS/SUBJECT/SEQUENCE/FRAME.npz
    PICTURES/SUBJECT/SEQUENCE/FRAME.png, FRAME.CAMERA.png or FRAME/....png

A sequence may be several folders deep, or missing.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from data_pipelines.sets import by_folder, entry, paths
from data_pipelines.sets.collector import Collector
from data_pipelines.sets.entry import Mesh, Truth
from data_pipelines.sets.places import MESHES, Place

Key = tuple[str, str]  # sequence, frame


def meshes(place: Place) -> list[Mesh]:
    """All meshes, by (subject, sequence, frame), each with the first picture of its moment."""
    out = []
    top = place.meshes
    for base in [top / name for name in paths.folders(top)] if top else []:
        subject = base.name
        found = _frames(base, MESHES)
        shown = _shown(place.pictures, subject, found, crops=False)[0]
        for (sequence, frame), path in found.items():
            seen = shown.get((sequence, frame))
            picture = seen[0][2] if seen else ""
            out.append(Mesh(place.name, subject, sequence, frame, str(base / path), picture))
    return sorted(out, key=lambda mesh: (mesh.subject, mesh.sequence, mesh.frame))


def fit_path(fits: Path, mesh: Mesh) -> Path:
    """Where the coefficients of a mesh lie."""
    return fits.joinpath(mesh.subject, mesh.sequence, f"{mesh.frame}.npz")


def read(place: Place, crops: bool, out: Collector) -> None:
    """Adds each picture of each moment that has coefficients to `out`."""
    if place.parameters is None:
        raise ValueError(
            f"{place.home} has meshes only: fit FLAME to them by launch.fit_meshes, then give "
            "the folder of its fits"
        )
    base = place.seen(crops)
    tops = [top for top in (place.meshes, place.parameters) if top]
    subjects = {name for top in tops for name in paths.folders(top)}
    for subject in sorted(subjects):
        _read_subject(place, place.parameters / subject, base, crops, out)
    for name in sorted(set(paths.folders(base)) - subjects):
        if next(paths.files(base / name, paths.PICTURES), None):
            out.reject(name, "", place.inside(base / name), entry.NO_PARAMETERS)


def _read_subject(place: Place, fits: Path, base: Path, crops: bool, out: Collector) -> None:
    subject = fits.name
    fitted = _frames(fits, [".npz"])
    bare = _frames(place.meshes / subject, MESHES) if place.meshes else {}
    shown, loose = _shown(base, subject, {**bare, **fitted}, crops)
    for key in sorted({*fitted, *bare}):
        name = "/".join(filter(None, key))
        if key not in fitted:
            out.reject(subject, name, f"{subject}/{bare[key]}", entry.NO_FIT)
        elif key not in shown:
            out.reject(subject, name, place.inside(fits / fitted[key]), entry.NO_PICTURE)
        else:
            truth = Truth("ofer", str(fits / fitted[key]))
            for source, called, picture, pair in shown[key]:
                where = place.inside(base / subject / source)
                if crops and not all(pair):
                    out.reject(subject, called, where, entry.NO_CROP)
                else:
                    out.add(subject, called, truth, where, picture=picture, crops=pair)
    for source, called, _, _ in loose:
        out.reject(subject, called, place.inside(base / subject / source), entry.NO_PARAMETERS)


def _frames(folder: Path, suffixes: Collection[str]) -> dict[Key, str]:
    """(sequence, frame) -> path below the person's folder; the first of several suffixes."""
    out: dict[Key, str] = {}
    for path in paths.files(folder, suffixes):
        sequence, _, last = path.rpartition("/")
        out.setdefault((sequence, last.rsplit(".", 1)[0]), path)
    return out


def _shown(base: Path | None, subject: str, frames: Mapping[Key, str], crops: bool):
    """(sequence, frame) -> pictures as `by_folder.pictures` gives them; and those of no frame."""
    shown, loose = defaultdict(list), []
    found = by_folder.pictures(base / subject, crops) if base else ()
    for each in found:
        key = _moment(each[1], frames)
        if key is None:
            loose.append(each)
        else:
            shown[key].append(each)
    return shown, loose


def _moment(name: str, frames: Mapping[Key, str]) -> Key | None:
    """The frame that a picture is of: by a folder of its name, or the beginning of the file's."""
    parts = name.split("/")
    for place, part in enumerate(parts):
        sequence = "/".join(parts[:place])
        while True:
            if (sequence, part) in frames:
                return sequence, part
            shorter = re.match(r"(.+)[._-]", part)
            if shorter is None:
                break
            part = shorter[1]
    return None

"""Reads a set without a list: everyone who has a folder of coefficients, with all their pictures.

Of several files of coefficients in a person's folder the first by name is taken.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from data_pipelines.sets import entry, paths
from data_pipelines.sets.by_list import has_part
from data_pipelines.sets.collector import Collector, counted
from data_pipelines.sets.entry import Truth
from data_pipelines.sets.places import Place


def read(place: Place, crops: bool, out: Collector) -> list[str]:
    """Adds the pictures in the set's folders to `out`; returns notes."""
    base, home = place.seen(crops), place.parameters
    if home is None:
        raise ValueError(f"{place.home} has no coefficients")
    truths = {actor: _parameters(home / actor) for actor in paths.folders(home)}
    people = {paths.fold(actor): actor for actor in reversed(truths)}
    seen: set[str] = set()
    strangers: dict[str, str] = {}
    for source, name, picture, pair in pictures(base, crops):
        subject, rest = person(name, truths, people)
        seen.add(subject)
        if not has_part(source, place.part):
            continue
        where = place.inside(base / source)
        if crops and not all(pair):
            out.reject(subject, rest, where, entry.NO_CROP)
        elif subject not in truths or truths[subject][0] is None:
            strangers.setdefault(subject, where)
        else:
            truth = Truth(place.layout, str(truths[subject][0]))
            out.add(subject, rest, truth, where, picture=picture, crops=pair)
    for subject, where in strangers.items():
        out.reject(subject, "", where, entry.NO_PARAMETERS)
    for subject in truths.keys() - seen:
        where = place.inside(home / subject)
        truth, _ = truths[subject]
        out.reject(subject, "", where, entry.NO_PICTURES if truth else entry.NO_PARAMETERS)
    several = [actor for actor, (_, count) in truths.items() if count > 1]
    return counted(several, "people have several files of coefficients: the first by name")


def pictures(base: Path, crops: bool) -> Iterator[tuple[str, str, str, tuple[str, str]]]:
    """(path, name, raw picture, (crop 112, crop 224)) of each picture below a folder, in order."""
    if not crops:
        for path in paths.files(base, paths.PICTURES):
            yield path, paths.stem(path), str(base / path), ("", "")
        return
    found: dict[str, list[str]] = {}
    for path in paths.files(base, {".npy", *paths.PICTURES}):
        slot = 0 if os.path.splitext(path)[1].lower() == ".npy" else 1
        pair = found.setdefault(paths.stem(path), ["", ""])
        pair[slot] = pair[slot] or path
    for name, pair in found.items():
        first, second = (str(base / path) if path else "" for path in pair)
        yield pair[0] or pair[1], name, "", (first, second)


def person(name: str, known: dict, people: dict[str, str]) -> tuple[str, str]:
    """(person, the rest of the name): the first folder that is a person's, else the first."""
    parts = name.split("/")
    for place, part in enumerate(parts[:-1]):
        subject = part if part in known else people.get(paths.fold(part))
        if subject is not None:
            return subject, "/".join(parts[:place] + parts[place + 1 :])
    return (parts[0], "/".join(parts[1:])) if len(parts) > 1 else ("", name)


def _parameters(folder: Path) -> tuple[Path | None, int]:
    found = list(paths.files(folder, [".npz"]))
    return (folder / found[0] if found else None), len(found)

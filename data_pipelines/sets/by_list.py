"""Reads a set by a list, whose paths are looked for in the folders of the set."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data_pipelines.sets import entry, paths, stores
from data_pipelines.sets.collector import Collector
from data_pipelines.sets.entry import Fault, Truth
from data_pipelines.sets.lists import Row
from data_pipelines.sets.places import Place
from data_pipelines.sets.stores import Store


def read(place: Place, rows: Sequence[Row], crops: bool, out: Collector) -> None:
    """Adds the pictures of a list's rows to `out`."""
    reader = _Reader(place, rows, crops, out)
    for row in rows:
        reader.row(row)


class _Reader:
    def __init__(self, place: Place, rows: Sequence[Row], crops: bool, out: Collector) -> None:
        self.place, self.crops, self.out = place, crops, out
        actors = {row.actor for row in rows}
        known = {"leading": place.spec.folders, "actors": actors, "shared": _shared(rows)}
        kept = place.parameters or place.home
        self.parameters = Store(kept, [".npz"], **known)
        base = place.seen(crops)
        self.pictures = Store(base, paths.PICTURES, **known)
        self.arrays = Store(base, [".npy"], **known)
        self.truths: dict[tuple[str, str], Truth | Fault] = {}

    def row(self, row: Row) -> None:
        listed = self.place.inside(self.place.listed) if self.place.listed else ""
        if row.fault is not None:
            self.out.reject(row.actor, "", listed, row.fault)
            return
        chosen = [pair for pair in row.pictures if has_part(pair[0], self.place.part)]
        if not row.pictures:
            self.out.reject(row.actor, "", listed, entry.NO_PICTURES)
        reported: set[str] = set()
        for picture, parameters in chosen:
            truth = self._truth(row.actor, parameters)
            if isinstance(truth, Truth):
                self._picture(self._subject(row.actor, truth), row.actor, picture, truth)
            elif (source := paths.shown(parameters)) not in reported:  # not once a picture
                reported.add(source)
                self.out.reject(row.actor, "", source, truth)

    def _truth(self, actor: str, parameters: object) -> Truth | Fault:
        key = (actor, paths.shown(parameters))
        if key not in self.truths:
            self.truths = {key: self._found_truth(actor, parameters)}
        return self.truths[key]

    def _found_truth(self, actor: str, parameters: object) -> Truth | Fault:
        try:
            found = stores.find(
                self.parameters, actor, parameters, self.place.root, entry.NO_PARAMETERS
            )
        except Fault as fault:
            return fault
        return Truth(self.place.layout, str(found))

    def _subject(self, actor: str, truth: Truth) -> str:
        """The person: the actor; for frames, the folder that the coefficients lie in."""
        parts = Path(truth.path).relative_to(self.parameters.base).parts
        return parts[0] if self.place.spec.expressions and len(parts) > 1 else actor

    def _picture(self, subject: str, actor: str, text: object, truth: Truth) -> None:
        name, source = "", paths.shown(text)
        try:
            rest = self.pictures.rest(actor, paths.listed(text, self.place.root))
            rest = self.pictures.rest(subject, rest)
            name = paths.stem("/".join(rest))
            missing = entry.NO_CROP if self.crops else entry.NO_PICTURE
            picture = stores.find(self.pictures, actor, text, self.place.root, missing)
            if not self.crops:
                self.out.add(subject, name, truth, source, picture=str(picture))
                return
            array = stores.find(self.arrays, actor, text, self.place.root, missing)
            self.out.add(subject, name, truth, source, crops=(str(array), str(picture)))
        except Fault as fault:
            self.out.reject(subject, name, source, fault)


def has_part(text: object, part: str) -> bool:
    """Is `part` one of the words of a path? (Any path for no part.)"""
    return not part or part.casefold() in re.split(r"[^a-z0-9]+", paths.shown(text).casefold())


def _shared(rows: Sequence[Row]) -> set[str]:
    """Last names of pictures and coefficients that more than one actor has."""
    seen: Counter[str] = Counter()
    for row in rows:
        texts = {each for pair in row.pictures for each in pair if type(each) is str}
        last = {each.replace("\\", "/").rsplit("/", 1)[-1] for each in texts}
        seen.update({paths.fold(paths.stem(each)) for each in last})
    return {name for name, times in seen.items() if times > 1}

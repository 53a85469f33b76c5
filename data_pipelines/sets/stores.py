"""A folder with a folder for each person, and the file that a list means in it."""

import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from data_pipelines.sets import paths, specs
from data_pipelines.sets.entry import Fault
from data_pipelines.sets.paths import Index

_LEADING = {*specs.PARAMETERS.values(), specs.REGISTRATIONS, specs.CROPS, *specs.PICTURES}


class Store:
    """Files of one kind, such as all raw pictures.

    Args:
        base: the folder.
        suffixes: of its files.
        leading: names that paths in a list may begin with, such as the set's.
        actors: everyone on the list; a file in the folder of one is never another's.
        shared: last names of files that the list has for more than one person.
    """

    def __init__(
        self,
        base: Path,
        suffixes: Collection[str],
        leading: Collection[str] = (),
        actors: Collection[str] = (),
        shared: Collection[str] = (),
    ) -> None:
        self.base, self.suffixes = base, suffixes
        self._leading = {paths.fold(each) for each in (*_LEADING, *leading, base.name)}
        self._actors = {paths.fold(each) for each in actors}
        self._shared = shared
        self._folders: dict[str, list[str]] | None = None
        self._own: tuple[str, Index | None] = ("", None)
        self._whole: Index | None = None

    def rest(self, actor: str, parts: tuple[str, ...]) -> tuple[str, ...]:
        """The parts below the person's folder."""
        key = paths.fold(actor)
        while len(parts) > 1 and paths.fold(parts[0]) in self._leading - {key}:
            parts = parts[1:]
        own = len(parts) > 1 and paths.fold(parts[0]) == key
        return parts[1:] if own else parts

    def find(self, actor: str, parts: tuple[str, ...]) -> Path | None:
        """The file of a person that `parts` means, or None; a `Fault` if it could be several."""
        rest = self.rest(actor, parts)
        for exact in (self.base.joinpath(*parts), self.base.joinpath(actor, *rest)):
            if exact.suffix.lower() in self.suffixes and os.path.isfile(exact):
                return exact
        own = self._index(actor)
        if own is not None:
            found = own.find(rest)
            return own.folder / found if found else None
        if self._whole is None:
            self._whole = Index(self.base, self.suffixes)
        named = self._whole.find((actor, *rest), anywhere=False)
        if named is None:
            alone = paths.fold(paths.stem(rest[-1])) not in self._shared
            named = self._whole.find(rest, anywhere=alone) if alone or len(rest) > 1 else None
        if named is None or self._of_another(actor, named):
            return None
        return self.base / named

    def _index(self, actor: str) -> Index | None:
        """The files in the person's own folder; those of the last person asked for are kept."""
        if self._own[0] != actor:
            folder = self._folder(actor)
            self._own = (actor, Index(self.base / folder, self.suffixes) if folder else None)
        return self._own[1]

    def _folder(self, actor: str) -> str | None:
        if self._folders is None:
            self._folders = defaultdict(list)
            for name in paths.folders(self.base):
                self._folders[paths.fold(name)].append(name)
        alike = self._folders.get(paths.fold(actor), [])
        return actor if actor in alike else next(iter(alike), None)

    def _of_another(self, actor: str, path: str) -> bool:
        folders = {paths.fold(each) for each in path.split("/")[:-1]}
        return bool(folders & self._actors - {paths.fold(actor)})


def find(store: Store, actor: str, text: object, root: Path, missing: str) -> Path:
    """The file that a list names. Raises a `Fault`: `missing` if it is not there."""
    found = store.find(actor, paths.listed(text, root))
    if found is None:
        raise Fault(missing)
    return found

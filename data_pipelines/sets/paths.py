"""Names in lists and the files they mean: nothing outside the folder, case and suffix forgiven.

Links are followed, being the owner's own; a folder is entered once, so that links in a circle end.
Hidden files are passed over.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from data_pipelines.sets.entry import AMBIGUOUS, BAD_LIST, OUTSIDE, Fault
from ofer_jax import photos
from ofer_jax.pickles.values import title

PICTURES = photos.EXTENSIONS
_STRIPPED = PICTURES | {".npy", ".npz"}
_MAX_NAME = 1024


def fold(text: str) -> str:
    """One form for all spellings of a name: case, and accents composed or not."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def clean(text: str) -> str:
    """The text without the stand-ins for bytes that are not UTF-8 (they cannot be written)."""
    return text.encode("utf-8", "backslashreplace").decode()


def shown(value: object) -> str:
    """A value of a list for people: a short text, or what it is (a list may hold itself)."""
    return clean(value)[:300] if type(value) is str else title(value)


def stem(path: str) -> str:
    """The path without the suffix of a picture or an array; other dots are part of the name."""
    base, suffix = os.path.splitext(path)
    return base if suffix.lower() in _STRIPPED else path


def listed(text: object, root: Path) -> tuple[str, ...]:
    """The parts of a path in a list, relative to a folder of the set.

    Separators may be Windows'; an absolute path is taken if it lies in `root`. Raises a `Fault` if
    it leads outside or is no path.
    """
    if type(text) is not str or not text.strip() or "\0" in text or len(text) > _MAX_NAME:
        raise Fault(BAD_LIST, f"{shown(text)!r} is no path")
    path = text.replace("\\", "/")
    if path.startswith("/"):
        inside = os.path.relpath(os.path.normpath(path), os.path.abspath(root))
        path = inside if path[:2] != "//" else ".."
    path = os.path.normpath(path)
    if path.split("/")[0] == ".." or re.match("[A-Za-z]:", path):
        raise Fault(OUTSIDE, text)
    return tuple(path.split("/"))


def files(folder: Path, suffixes: Collection[str]) -> Iterator[str]:
    """The files below a folder with one of these suffixes (any case), relative, in order."""
    entered: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            here = os.stat(folder / inside)
            found = sorted(os.scandir(folder / inside), key=lambda each: each.name)
        except OSError:
            continue
        if (here.st_dev, here.st_ino) in entered:
            continue
        entered.add((here.st_dev, here.st_ino))
        deeper = []
        for each in (e for e in found if not e.name.startswith(".")):
            path = f"{inside}/{each.name}" if inside else each.name
            if is_folder(each):
                deeper.append(path)
            elif os.path.splitext(each.name)[1].lower() in suffixes and is_file(each):
                yield path
        waiting += reversed(deeper)


def is_folder(each: os.DirEntry) -> bool:
    try:
        return each.is_dir()
    except OSError:  # a link to itself
        return False


def is_file(each: os.DirEntry) -> bool:
    """A plain file, or a link to one: no pipe, no device, no link to nowhere."""
    try:
        return each.is_file()
    except OSError:
        return False


def folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, in order; none if it cannot be listed."""
    try:
        found = [each.name for each in os.scandir(folder) if is_folder(each)]
    except OSError:
        return []
    return sorted(name for name in found if not name.startswith("."))


def child(folder: Path, names: Collection[str]) -> Path | None:
    """The folder in `folder` with one of the names, the first that is there, in any case."""
    there = folders(folder)
    for name in names:
        alike = [each for each in there if fold(each) == fold(name)]
        if alike:
            return folder / (name if name in alike else alike[0])
    return None


class Index:
    """The files below a folder by name, for names that differ in case or suffix."""

    def __init__(self, folder: Path, suffixes: Collection[str]) -> None:
        self.folder = folder
        self.found = list(files(folder, suffixes))
        self._known = set(self.found)
        self._stems: dict[str, list[str]] = defaultdict(list)
        for path in self.found:
            self._stems[_last(path)].append(path)

    def find(self, parts: tuple[str, ...], anywhere: bool = True) -> str | None:
        """The one file that is meant, relative; None if there is none.

        The very path; else the one that differs in case or suffix; else the one whose path ends
        so; else, with `anywhere`, the one with its last name. Raises a `Fault` if several are.
        """
        path = "/".join(parts)
        if path in self._known:
            return path
        alike = self._stems.get(_last(path), [])
        key = fold(stem(path))
        rules = [
            [p for p in alike if fold(stem(p)) == key],
            [p for p in alike if fold(stem(p)).endswith("/" + key)],
            alike if anywhere else [],
        ]
        for chosen in rules:
            closer = [p for p in chosen if stem(p).split("/")[-1] == stem(parts[-1])] or chosen
            if len(closer) > 1:
                raise Fault(AMBIGUOUS, f"{closer[0]}, {closer[1]}")
            if closer:
                return closer[0]
        return None


def _last(path: str) -> str:
    return fold(stem(path.rsplit("/", 1)[-1]))

"""Lists of pictures and of people: MICA's and OFER's pickled `.npy`, or text, a person a line.

    MICA: {actor: ([pictures], parameters)}        OFER: {actor: (parameters, [pictures])}

Nothing in a list is executed (`ofer_jax.pickles`). A value that is neither is a `Fault` in its row,
a file that is no list at all a ValueError.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from data_pipelines import data_card
from data_pipelines.sets import paths
from data_pipelines.sets.entry import BAD_LIST, Fault
from ofer_jax.pickles import npy
from ofer_jax.pickles.values import short, title

_MAX_BYTES = 128 << 20
_MAX_NAME = 200


@dataclass(frozen=True)
class Row:
    """One actor of a list: the pictures, each with the path of its coefficients (any objects)."""

    actor: str
    pictures: tuple[tuple[Any, Any], ...] = ()
    fault: Fault | None = None


@dataclass(frozen=True)
class People:
    """A list: the names on it, and the rows with their pictures if it has them."""

    names: tuple[str, ...]
    rows: tuple[Row, ...] = ()


def read(path: str | PathLike[str]) -> People:
    """Reads a list. Raises a ValueError of one line if it cannot be read, or is empty."""
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError("no such file")
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES >> 20} MB")
        data = path.read_bytes()
        people = _pickled(data) if path.suffix.lower() in (".npy", ".pkl") else _text(data)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a list of people: {short(error)}") from None
    if not people.names and not people.rows:
        raise ValueError(f"{path} is not a list of people: it is empty")
    return people


def splits(lists: Mapping[str, str | PathLike[str]]) -> tuple[dict[str, str], tuple[Row, ...]]:
    """Subject -> split by the lists of each split, and all their rows."""
    people = {name: read(path) for name, path in lists.items()}
    rows = tuple(row for each in people.values() for row in each.rows)
    return assigned({name: each.names for name, each in people.items()}), rows


def assigned(names: Mapping[str, Any]) -> dict[str, str]:
    """Subject (folded) -> split. Raises a ValueError for an unknown split, or one in two lists."""
    out: dict[str, str] = {}
    for split, people in names.items():
        if split not in data_card.SPLITS:
            raise ValueError(f"no split {split[:40]!r}; there are train, validation and test")
        for each in people:
            if out.setdefault(paths.fold(each), split) != split:
                other = out[paths.fold(each)]
                raise ValueError(f"{each[:80]!r} is in the lists of both {other} and {split}")
    return out


def _text(data: bytes) -> People:
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError("it is neither a .npy file nor text in UTF-8") from None
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if any(len(name) > _MAX_NAME or not name.isprintable() for name in names):
        raise ValueError("a line of it is no name")
    return People(tuple(dict.fromkeys(names)))


def _pickled(data: bytes) -> People:
    held = npy.loads_npy(data) if data.startswith(npy.MAGIC) else npy.loads_list(data)
    held = held.tolist() if hasattr(held, "tolist") else npy.unpacked(held)
    if isinstance(held, list) and len(held) == 1 and isinstance(held[0], dict):
        held = held[0]
    if isinstance(held, list) and all(_is_name(each) for each in held):
        return People(tuple(dict.fromkeys(map(_name, held))))
    if not isinstance(held, dict):
        raise ValueError(f"it holds {title(held)}, not a dict of actors")
    rows, left = [], len(data)
    for actor, value in held.items():
        rows.append(_row(actor, value))
        left -= len(rows[-1].pictures)
        if left < 0:
            raise ValueError("it names more pictures than it has bytes")
    return People(tuple(row.actor for row in rows if row.actor), tuple(rows))


def _row(actor: Any, value: Any) -> Row:
    if not _is_name(actor):
        return Row("", fault=Fault(BAD_LIST, f"{paths.shown(actor)[:60]!r} is no name"))
    try:
        pictures, parameters = _pair(value)
    except Fault as fault:
        return Row(_name(actor), fault=fault)
    if not isinstance(parameters, list):
        return Row(_name(actor), tuple((each, parameters) for each in pictures))
    if len(parameters) != len(pictures):
        counts = f"{len(pictures)} pictures and {len(parameters)} files of coefficients"
        return Row(_name(actor), fault=Fault(BAD_LIST, counts))
    return Row(_name(actor), tuple(zip(pictures, parameters, strict=True)))


def _pair(value: Any) -> tuple[list[Any], Any]:
    """(pictures, parameters) of a value in either order; a list of parameters is one a picture."""
    value = npy.unpacked(value)
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Fault(BAD_LIST, f"{title(value)} in place of pictures and a file of coefficients")
    first, second = (npy.unpacked(each) for each in value)
    first, second = ([*e] if isinstance(e, tuple) else e for e in (first, second))
    if _is_parameters(first) and not _is_parameters(second):
        first, second = second, first
    if isinstance(first, str):
        first = [first]
    if not isinstance(first, list) or not isinstance(second, str | list):
        found = f"{title(first)} and {title(second)}"
        raise Fault(BAD_LIST, f"{found} in place of pictures and a file of coefficients")
    return first, second


def _is_parameters(value: Any) -> bool:
    """A path, or for a list of paths: do they end as files of coefficients do?"""
    if isinstance(value, str):
        return True
    texts = value if isinstance(value, list) else []
    ends = [each.lower().endswith(".npz") for each in texts if isinstance(each, str)]
    return bool(ends) and all(ends)


def _is_name(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < 1 << 62
    if type(value) is not str or not 0 < len(value) <= _MAX_NAME or not value.isprintable():
        return False
    return not {"", ".", ".."} & set(re.split(r"[/\\]", value))  # it is also a folder's


def _name(value: Any) -> str:
    return str(value)

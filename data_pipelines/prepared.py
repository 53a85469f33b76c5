"""The slow half of a build: records in numbered parts on disk, each made once.

    FOLDER/part-00000.npz    a split's next `PART` pictures: their records, and what was rejected

A part appears whole or not at all. It names its key, a hash of the settings, of its entries and of
the sizes of their files: a rerun skips the parts whose keys it would give again, and makes the
others. The folder is the same whatever makes it, processes of this machine or Beam's.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tqdm

from data_pipelines import data_card, faces_records, npz, parallel, preparation
from data_pipelines.preparation import Settings
from data_pipelines.sets import Entry, Rejection
from ofer_jax import openhead

FORMAT = 1  # rises when the same settings would give other records
PART = 100  # pictures a part
# What a part keeps of each record; `subject_id` is given at the end.
FIELDS = (
    *faces_records.PICTURES,
    *faces_records.VECTORS,
    *faces_records.TEXTS,
    *("score", "has_expression"),
)
# Runs a function over jobs, in any order and on any machine that sees the folders; yields counts.
Mapper = Callable[[Callable[["Job"], int], Sequence["Job"]], Iterator[int]]


@dataclass(frozen=True)
class Job:
    """One part: its file, its split, its entries, the set's folder, and its key."""

    path: pathlib.Path
    split: str
    entries: tuple[Entry, ...]
    root: str
    key: str


def jobs(
    folder: pathlib.Path,
    splits: Mapping[str, Sequence[Entry]],
    settings: Settings,
    root: str,
) -> list[Job]:
    """The parts of a build, in the order of its records."""
    made: list[Job] = []
    for split in data_card.SPLITS:
        entries = splits.get(split, ())
        for start in range(0, len(entries), PART):
            chunk = tuple(entries[start : start + PART])
            key = _key(chunk, settings, root)
            made.append(Job(folder / f"part-{len(made):05d}.npz", split, chunk, root, key))
    return made


def source_hash(splits: Mapping[str, Sequence[Entry]], root: str) -> str:
    """SHA-256 of the entries of all splits and the sizes of their files; not of where they lie."""
    total = hashlib.sha256()
    for split in data_card.SPLITS:
        for entry in splits.get(split, ()):
            total.update(f"{split} {_line(entry, root)}\n".encode())
    return total.hexdigest()


def _key(entries: Sequence[Entry], settings: Settings, root: str) -> str:
    lines = [json.dumps({"format": FORMAT} | settings.described(), sort_keys=True)]
    lines += [_line(entry, root) for entry in entries]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _line(entry: Entry, root: str) -> str:
    fields: dict[str, Any] = dataclasses.asdict(entry)
    for name in ("picture", "crop_112", "crop_224"):
        fields[name] = _file(fields[name], root)
    fields["truth"]["path"] = _file(fields["truth"]["path"], root)
    return json.dumps(fields, sort_keys=True)


def _file(path: str, root: str) -> list[Any]:
    """A file as it is known wherever the set lies: its place in the set, and its size."""
    if not path:
        return []
    try:
        size = os.stat(path).st_size
    except OSError:
        size = -1
    return [os.path.relpath(path, root), size]


def run(
    folder: pathlib.Path, wanted: Sequence[Job], settings: Settings, make: Mapper | None = None
) -> None:
    """Makes the parts that are not there yet and removes those of other builds.

    Args:
      folder: of the parts.
      wanted: the jobs.
      settings: how to prepare the pictures.
      make: what runs them; by default in this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = {job.path for job in wanted}
    for path in folder.glob("part-*.npz"):
        if path not in known:
            path.unlink()
    missing = [job for job in wanted if not is_done(job)]
    total, left = (sum(len(job.entries) for job in each) for each in (wanted, missing))
    work = functools.partial(make_part, settings=settings)
    bar = tqdm.tqdm(total=total, initial=total - left, unit="picture", desc="Preparing")
    with bar:
        for count in (make or workers(0))(work, missing):
            bar.update(count)


def workers(count: int) -> Mapper:
    """Processes of this machine; 0 works in this one (and on its accelerator)."""
    return functools.partial(_by_processes, count=count)


def _by_processes(work: Callable[[Job], int], jobs: Sequence[Job], count: int) -> Iterator[int]:
    return parallel.ordered_map(work, jobs, count, ahead=2)


def make_part(job: Job, *, settings: Settings) -> int:
    """Prepares and writes one part; returns its number of entries."""
    records, rejected = preparation.prepare(job.entries, settings, job.root)
    columns = {name: np.array([each[name] for each in records]) for name in FIELDS}
    digests = [digest(faces_records.decode(each | {"subject_id": 0})) for each in records]
    arrays = {
        "key": np.array(job.key),
        "digest": np.array(digests, dtype=np.str_),
        "bytes": np.array([len(each[n]) for each in records for n in faces_records.PICTURES]),
        "rejected": np.array([json.dumps(dataclasses.asdict(r)) for r in rejected], dtype=np.str_),
    }
    npz.save(job.path, arrays | columns)
    return len(job.entries)


def digest(record: Mapping[str, Any]) -> str:
    """Of a decoded record but for `subject_id`, which follows from the others' order."""
    return openhead.digest({name: record[name] for name in FIELDS})


def is_done(job: Job) -> bool:
    """Whether the part is there, sound, and made of the same entries by the same settings."""
    try:
        return str(npz.load(job.path, ("key",))["key"]) == job.key
    except (OSError, ValueError, KeyError):
        return False


@dataclass(frozen=True)
class Summary:
    """What a part holds: records of a split, their bytes, and what was rejected."""

    job: Job
    count: int
    bytes: int
    rejected: tuple[Rejection, ...]


def summary(job: Job) -> Summary:
    """What a finished part holds, without its pictures."""
    part = npz.load(job.path, ("digest", "bytes", "rejected"))
    rejected = tuple(Rejection(**json.loads(line)) for line in part["rejected"].tolist())
    return Summary(job, len(part["digest"]), int(part["bytes"].sum()), rejected)


def records(job: Job) -> Iterator[tuple[dict[str, Any], str]]:
    """The encoded records of a finished part, without `subject_id`, each with its digest."""
    part = npz.load(job.path, (*FIELDS, "digest"))
    for row, known in enumerate(part["digest"].tolist()):
        record = {name: part[name][row] for name in FIELDS}
        texts = {name: str(record[name]) for name in faces_records.TEXTS}
        # NumPy drops zeros at the end of bytes; a JPEG ends in FFD9
        pictures = {name: bytes(record[name]) for name in faces_records.PICTURES}
        yield record | texts | pictures, known

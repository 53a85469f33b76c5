"""Real pictures as a TFDS data set `faces` in ArrayRecord: prepared in parts, then written whole.

    OUT/            the shards, data_card.json, README.md, rejected.jsonl, rows_SPLIT.npz
    .OUT.prepared/  beside it, while it is built: the parts (`prepared`)

Preparation is the slow part and goes on where a killed build stopped; writing is quick and is
repeated whole. The same entries and settings give the same content in the same order, whatever
prepared them:

    record  = SHA-256 of its decoded fields but for `subject_id` (`prepared.digest`)
    content = SHA-256 over the lines 'record subject_id', splits in the order train, validation,
              test, records in that of their entries
"""

import collections
import dataclasses
import functools
import io
import itertools
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from data_pipelines import data_card, faces_records, npz, prepared, sets, tfds_build
from data_pipelines.preparation import Settings
from data_pipelines.prepared import Job, Mapper, Summary
from data_pipelines.sets import Entry, Listing, Rejection
from ofer_jax import atomic

SHARD = 128 << 20  # bytes a shard
# What has to agree for a data set that is already there to be the one asked for.
IDENTITY = ("format", "name", "kind", "version", "dataset", "source_hash", "settings", "head")
REJECTED = "rejected.jsonl"


class Faces(tfds_build.Builder):
    """The data set. VERSION rises whenever the same input would give other records."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = faces_records.DESCRIPTION

    def _features(self) -> tfds.features.FeaturesDict:
        return faces_records.features()


@dataclass
class Rows:
    """What the writing of the records leaves of each, by split."""

    digests: list[str] = field(default_factory=list)
    subject_id: dict[str, list[int]] = field(default_factory=dict)
    has_expression: dict[str, list[bool]] = field(default_factory=dict)


def build(
    out: str | os.PathLike,
    listing: Listing,
    splits: Mapping[str, Sequence[Entry]],
    settings: Settings,
    *,
    head: Mapping[str, str],
    make: Mapper | None = None,
    max_rejected: float = 0.05,
    overwrite: bool = False,
    keep_parts: bool = False,
) -> dict[str, Any]:
    """Builds the data set in the folder `out` and returns its data card.

    Args:
      out: the folder; it appears (or is replaced) only when everything is written.
      listing: of the source, for its name, folder and rejections.
      splits: its entries by split (`sets.split`).
      settings: of the preparation.
      head: `identity` of the FLAME that the coefficients belong to.
      make: what prepares the parts; by default this process.
      max_rejected: the share of pictures that may be left out.
      overwrite: replace another data set in `out`.
      keep_parts: leave the parts where they are.

    Raises:
      ValueError: `out` cannot be written or holds something else, or too much was rejected; the
        parts are kept then.
    """
    out = pathlib.Path(out).absolute()
    card = _plan(listing, splits, settings, head)
    if (existing := tfds_build.existing(out, card, IDENTITY, overwrite)) is not None:
        return existing
    parts = out.with_name(f".{out.name}.prepared")
    jobs = prepared.jobs(parts, splits, settings, listing.root)
    with tfds_build.working(out) as work:
        prepared.run(parts, jobs, settings, make)
        done = [prepared.summary(job) for job in jobs]
        rejected = _rejected(listing, done)
        _check(rejected, sum(each.count for each in done), max_rejected, parts)
        written, rows = _write(work, done)
        card |= _counts(rows, rejected)
        _write_lines(written / REJECTED, rejected)
        for split, numbers in rows.subject_id.items():
            known = np.array(rows.has_expression[split], bool)
            arrays = {"subject_id": np.array(numbers, np.int64), "has_expression": known}
            npz.save(faces_records.rows_file(written, split), arrays)
        card = tfds_build.publish(written, out, card)
    if not keep_parts:
        shutil.rmtree(parts)
    return card


def _plan(
    listing: Listing,
    splits: Mapping[str, Sequence[Entry]],
    settings: Settings,
    head: Mapping[str, str],
) -> dict[str, Any]:
    docs = {name: each.doc.desc for name, each in sorted(faces_records.features().items())}
    return {
        "format": data_card.FORMAT,
        "name": Faces.name,
        "kind": faces_records.KIND,
        "version": str(Faces.VERSION),
        "description": faces_records.DESCRIPTION,
        "dataset": listing.dataset,
        "licence": sets.SETS[listing.dataset].licence,
        "head": dict(head),
        "layout": listing.layout,
        "source_hash": prepared.source_hash(splits, listing.root),
        "settings": settings.described(),
        "picture": {"encoding": "JPEG", "quality": settings.quality},
        "notes": list(listing.notes),
        "features": docs,
    }


def _rejected(listing: Listing, done: Sequence[Summary]) -> list[Rejection]:
    found = [*listing.rejected, *itertools.chain.from_iterable(each.rejected for each in done)]
    return sorted(found, key=dataclasses.astuple)


def _check(rejected: Sequence[Rejection], kept: int, limit: float, parts: pathlib.Path) -> None:
    """ValueError when more was rejected than the limit allows."""
    total = kept + len(rejected)
    if kept and len(rejected) <= limit * total:
        return
    path = parts / REJECTED
    _write_lines(path, rejected)
    if not total:
        raise ValueError(f"the source lists no picture at all: see {path}")
    why = ", ".join(f"{count} {reason}" for reason, count in tally(rejected).items())
    raise ValueError(
        f"{len(rejected)} of {total} pictures ({len(rejected) / total:.1%}) were rejected: {why}. "
        f"{path} names each; mend them and run again (what is prepared stays), "
        f"or allow more by --max_rejected (now {limit:g})"
    )


def tally(rejected: Sequence[Rejection]) -> dict[str, int]:
    """How many were rejected for which reason, the most frequent first."""
    counts = collections.Counter(each.reason for each in rejected)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _write_lines(path: pathlib.Path, rejected: Sequence[Rejection]) -> None:
    lines = (json.dumps(dataclasses.asdict(each), ensure_ascii=False) for each in rejected)
    atomic.write_text(path, "".join(f"{line}\n" for line in lines))


def _write(work: pathlib.Path, done: Sequence[Summary]) -> tuple[pathlib.Path, Rows]:
    """Writes the parts' records as TFDS shards, one part in memory at a time."""
    rows = Rows()
    shards: dict[str, list] = {}
    bar = tqdm.tqdm(total=sum(each.count for each in done), unit="picture", desc="Writing")
    for split in data_card.SPLITS:
        parts = [each for each in done if each.job.split == split]
        if not (count := sum(each.count for each in parts)):
            continue
        size = sum(each.bytes for each in parts)
        stream = _numbered(split, [each.job for each in parts], rows)
        sizes = tfds_build.shard_sizes(count, min(count, -(-size // SHARD)))
        shards[split] = [functools.partial(_shard, stream, number, bar) for number in sizes]
    with bar:
        return tfds_build.write(Faces, work, shards, "see the data card"), rows


def _shard(
    stream: Iterator[dict[str, Any]], size: int, bar: tqdm.tqdm
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, record in enumerate(itertools.islice(stream, size)):
        pictures = {name: io.BytesIO(record[name]) for name in faces_records.PICTURES}
        yield number, record | pictures
        bar.update()


def _numbered(split: str, jobs: Sequence[Job], rows: Rows) -> Iterator[dict[str, Any]]:
    """The records of a split with `subject_id`; notes in `rows` what is passed on."""
    number, last = -1, None
    numbers, known = (
        rows.subject_id.setdefault(split, []),
        rows.has_expression.setdefault(split, []),
    )
    for job in jobs:
        for record, digest in prepared.records(job):
            if record["subject"] != last:
                number, last = number + 1, record["subject"]
            rows.digests.append(f"{digest} {number}")
            numbers.append(number)
            known.append(bool(record["has_expression"]))
            yield record | {"subject_id": number}


def _counts(rows: Rows, rejected: Sequence[Rejection]) -> dict[str, Any]:
    numbers = {split: rows.subject_id.get(split, []) for split in data_card.SPLITS}
    return {
        "counts": {split: len(each) for split, each in numbers.items()},
        "subjects": {split: len(set(each)) for split, each in numbers.items()},
        "rejected": tally(rejected),
        "content_hash": data_card.content_hash(rows.digests),
    }


def verify(directory: str | os.PathLike) -> str:
    """The content hash of what is read back; it differs from the card's if files changed."""
    card = data_card.read(directory)
    found = [faces_records.open_split(directory, split) for split in data_card.splits(card)]
    total = sum(card["counts"].values())
    stream = tqdm.tqdm(itertools.chain(*found), total=total, unit="picture", desc="Checking")
    return data_card.content_hash(f"{prepared.digest(r)} {r['subject_id']}" for r in stream)


def summary(card: Mapping[str, Any]) -> str:
    """A few lines on a built set: what is in it, and what was left out, for which reasons."""
    lines = [
        f"{split}: {count} pictures of {card['subjects'][split]} subjects"
        for split, count in card["counts"].items()
    ]
    why = ", ".join(f"{count} {reason}" for reason, count in card["rejected"].items())
    return "\n".join([*lines, f"rejected: {why or 'none'}"])

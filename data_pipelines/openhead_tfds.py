"""The synthetic set as a TFDS data set in ArrayRecord, built without TensorFlow.

A subject is a drawn head with one pair of pictures, clean and occluded. Subject numbers are split
in the order test, validation, train, so a larger train split keeps the people of the other two.
"""

import contextlib
import functools
import io
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from data_pipelines import data_card, parallel, records, stored, tfds_build
from ofer_jax import openhead

Make = Callable[[int, int], Mapping[str, Any]]  # (seed, subject) -> record
# What has to agree for a data set that is already there to be the one asked for.
IDENTITY = ("format", "name", "version", "seed", "counts", "picture", "head")


class OpenHead(tfds_build.Builder):
    """The data set. VERSION rises whenever the same seed would give other records."""

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = records.DESCRIPTION

    def _features(self) -> tfds.features.FeaturesDict:
        return records.features()


def split_counts(subjects: int, validation: float, test: float) -> dict[str, int]:
    """Sizes of the splits; `validation` and `test` are shares below 1 or counts from 1 on."""
    held = {"test": test, "validation": validation}
    counts = {
        name: int(value) if value >= 1 else round(subjects * value) for name, value in held.items()
    }
    counts["train"] = subjects - sum(counts.values())
    if min(test, validation) < 0 or counts["train"] < 1:
        raise ValueError(
            f"{subjects} subjects cannot be split into validation {validation} and test {test}: "
            "give shares below 1 or counts that leave some for training"
        )
    return counts


def _draw(subject: int, *, make: Make, seed: int, quality: int) -> tuple[dict[str, Any], str]:
    """One subject in a worker: the encoded record and the digest of what a reader will decode."""
    encoded = records.encode(make(seed, subject), quality)
    return encoded, openhead.digest(records.decode(encoded))


def _write(
    work: pathlib.Path,
    counts: Mapping[str, int],
    examples: Iterator[tuple[dict[str, Any], str]],
    bar: tqdm.tqdm,
) -> tuple[pathlib.Path, list[str], set[str]]:
    """Writes the examples as TFDS shards: their folder, the record digests, the heads' names."""
    digests: list[str] = []
    heads: set[str] = set()

    def shard(size: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for encoded, digest in itertools.islice(examples, size):
            digests.append(digest)
            heads.add(encoded["head"])
            streams = {name: io.BytesIO(encoded[name]) for name in records.PICTURES}
            yield int(encoded["subject"]), encoded | streams
            bar.update()

    shards = {}
    for split in records.SPLITS:
        if count := counts[split]:
            sizes = tfds_build.shard_sizes(count, -(-count // records.SHARD))
            shards[split] = [functools.partial(shard, size) for size in sizes]
    return tfds_build.write(OpenHead, work, shards, data_card.LICENCE), digests, heads


def build(
    out: str | os.PathLike,
    *,
    make: Make,
    head: Mapping[str, str],
    counts: Mapping[str, int],
    seed: int = 0,
    workers: int = 2,
    quality: int = stored.QUALITY,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Builds the data set in the folder `out` and returns its data card.

    Args:
      out: the folder; it appears (or is replaced) only when everything is written.
      make: `make(seed, subject)` gives the record of a subject, deterministic, importable by name.
      head: its `identity`, for the card; records of another head are an error.
      counts: subjects of each split (`split_counts`).
      seed: seed of the whole set.
      workers: processes that draw; the content does not depend on their number. 0 draws in this
        one, which may round differently where its libraries use several threads.
      quality: of the JPEG pictures.
      overwrite: replace another data set in `out`.

    Raises:
      ValueError: `out` cannot be written, holds something else, or records are of another head.
    """
    out = pathlib.Path(out).absolute()
    card = _plan(head, counts, seed, quality)
    if (existing := tfds_build.existing(out, card, IDENTITY, overwrite)) is not None:
        return existing
    draw = functools.partial(_draw, make=make, seed=seed, quality=quality)
    total = sum(counts.values())
    with (
        tfds_build.working(out) as work,
        contextlib.closing(parallel.ordered_map(draw, range(total), workers)) as examples,
        tqdm.tqdm(total=total, unit="head", desc="Drawing", smoothing=0.05) as bar,
    ):
        written, digests, heads = _write(work, counts, examples, bar)
        if heads != {head["name"]}:
            raise ValueError(f"records are of the head {sorted(heads)}, expected {head['name']!r}")
        card |= {"content_hash": data_card.content_hash(digests)}
        return tfds_build.publish(written, out, card)


def _plan(
    head: Mapping[str, str], counts: Mapping[str, int], seed: int, quality: int
) -> dict[str, Any]:
    docs = {name: feature.doc.desc for name, feature in sorted(records.features().items())}
    return {
        "format": data_card.FORMAT,
        "name": OpenHead.name,
        "kind": "open_head",
        "version": str(OpenHead.VERSION),
        "description": records.DESCRIPTION,
        "licence": data_card.LICENCE,
        "head": dict(head),
        "seed": seed,
        "counts": {split: counts[split] for split in data_card.SPLITS},
        "picture": {"size": records.SIZE, "encoding": "JPEG", "quality": quality},
        "features": docs,
    }


def verify(directory: str | os.PathLike) -> str:
    """The content hash of what is read back; it differs from the card's if files changed."""
    counts = data_card.read(directory)["counts"]
    splits = [records.open_split(directory, split) for split in records.SPLITS if counts[split]]
    stream = tqdm.tqdm(
        itertools.chain(*splits), total=sum(counts.values()), unit="head", desc="Checking"
    )
    return data_card.content_hash(openhead.digest(record) for record in stream)

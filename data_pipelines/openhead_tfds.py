"""The synthetic set as a TFDS data set in ArrayRecord, built without TensorFlow.

A subject is a drawn head with one pair of pictures, clean and occluded. Subject numbers are split
in the order test, validation, train, so a larger train split keeps the people of the other two.

TFDS's GeneratorBasedBuilder keeps a split in memory and beyond 1 GB asks TensorFlow for its
temporary files; ShardBasedBuilder streams one shard after the other and never does.
"""

import contextlib
import functools
import io
import itertools
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from data_pipelines import data_card, parallel, records, stored
from ofer_jax import openhead

Make = Callable[[int, int], Mapping[str, Any]]  # (seed, subject) -> record


class OpenHead(tfds.core.ShardBasedBuilder):
    """Writes shards of encoded records; `shards` maps a split to its generators, in order.

    VERSION rises whenever the same seed would give other records.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, shards: Mapping[str, Sequence[Callable]] | None = None, **kwargs: Any):
        self._shards = shards or {}
        super().__init__(file_format="array_record", **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=records.DESCRIPTION,
            features=records.features(),
            disable_shuffling=True,
            license=data_card.LICENCE,
        )

    def _shard_iterators_per_split(self, dl_manager: Any) -> Mapping[str, Sequence[Callable]]:
        return self._shards


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
    target: pathlib.Path,
    counts: Mapping[str, int],
    examples: Iterator[tuple[dict[str, Any], str]],
    bar: tqdm.tqdm,
) -> tuple[list[str], set[str]]:
    """Writes the examples as TFDS shards; returns the record digests and the heads' names."""
    digests: list[str] = []
    heads: set[str] = set()

    def shard(size: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for encoded, digest in itertools.islice(examples, size):
            digests.append(digest)
            heads.add(encoded["head"])
            streams = {name: io.BytesIO(encoded[name]) for name in records.PICTURES}
            yield int(encoded["subject"]), encoded | streams
            bar.update()

    shards = {
        split: [functools.partial(shard, size) for size in _shard_sizes(counts[split])]
        for split in records.SPLITS
        if counts[split]
    }
    builder = OpenHead(shards=shards, data_dir=target / "tfds")
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints of downloads; there are none
        builder.download_and_prepare(download_config=config, download_dir=target / "downloads")
    return digests, heads


def _shard_sizes(count: int) -> list[int]:
    shards = -(-count // records.SHARD)
    edges = [count * number // shards for number in range(shards + 1)]
    return [after - before for before, after in itertools.pairwise(edges)]


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
    if (existing := _existing(out, card, overwrite)) is not None:
        return existing
    work = _work_folder(out)
    draw = functools.partial(_draw, make=make, seed=seed, quality=quality)
    total = sum(counts.values())
    try:
        with (
            contextlib.closing(parallel.ordered_map(draw, range(total), workers)) as examples,
            tqdm.tqdm(total=total, unit="head", desc="Drawing", smoothing=0.05) as bar,
        ):
            digests, heads = _write(work, counts, examples, bar)
        if heads != {head["name"]}:
            raise ValueError(f"records are of the head {sorted(heads)}, expected {head['name']!r}")
        (written,) = (work / "tfds").glob("*/*")
        size = sum(path.stat().st_size for path in written.iterdir())
        card |= {"content_hash": data_card.content_hash(digests), "bytes": size}
        data_card.write(written, card)
        _replace(out, written)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return card


def _plan(
    head: Mapping[str, str], counts: Mapping[str, int], seed: int, quality: int
) -> dict[str, Any]:
    docs = {name: feature.doc.desc for name, feature in sorted(records.features().items())}
    return {
        "format": data_card.FORMAT,
        "name": OpenHead.name,
        "version": str(OpenHead.VERSION),
        "description": records.DESCRIPTION,
        "licence": data_card.LICENCE,
        "head": dict(head),
        "seed": seed,
        "counts": {split: counts[split] for split in ("train", "validation", "test")},
        "picture": {"size": records.SIZE, "encoding": "JPEG", "quality": quality},
        "features": docs,
    }


def _existing(out: pathlib.Path, card: Mapping[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The card of the same data set if it stands in `out`; ValueError if something else does."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / data_card.FILE).exists():
        raise ValueError(f"{out} exists and holds no data set: choose another --out")
    if overwrite:
        return None
    found = data_card.read(out)
    if different := data_card.differences(found, card):
        raise ValueError(
            f"{out} holds another data set ({'; '.join(different)}): "
            "choose another --out or give --overwrite"
        )
    return found


def _work_folder(out: pathlib.Path) -> pathlib.Path:
    """A fresh folder beside `out`; what a killed build left there goes."""
    work = out.with_name(f".{out.name}.incomplete")
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
    except OSError as error:
        raise ValueError(
            f"{out} cannot be written ({error.strerror}): choose another --out"
        ) from None
    return work


def _replace(out: pathlib.Path, written: pathlib.Path) -> None:
    """Puts the finished folder in place of `out`; nobody sees half a data set."""
    old = written.with_name("replaced")
    if out.exists():
        os.replace(out, old)
    os.replace(written, out)


def verify(directory: str | os.PathLike) -> str:
    """The content hash of what is read back; it differs from the card's if files changed."""
    counts = data_card.read(directory)["counts"]
    splits = [records.open_split(directory, split) for split in records.SPLITS if counts[split]]
    stream = tqdm.tqdm(
        itertools.chain(*splits), total=sum(counts.values()), unit="head", desc="Checking"
    )
    return data_card.content_hash(openhead.digest(record) for record in stream)

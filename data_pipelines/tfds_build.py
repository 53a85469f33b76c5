"""Writing a TFDS data set in ArrayRecord without TensorFlow: what all sets of this project share.

TFDS's GeneratorBasedBuilder keeps a split in memory and beyond 1 GB asks TensorFlow for its
temporary files; ShardBasedBuilder streams one shard after the other and never does.

A data set is built in a folder beside its own and put in its place when everything is written.
"""

import contextlib
import io
import itertools
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

from data_pipelines import data_card

Shards = Mapping[str, Sequence[Callable[[], Iterator[tuple[int, dict[str, Any]]]]]]


class Builder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Writes shards of encoded records; `shards` maps a split to its generators, in order.

    A subclass gives its VERSION, DESCRIPTION, features and licence.
    """

    VERSION = tfds.core.Version("1.0.0")
    DESCRIPTION = ""

    def __init__(self, *, shards: Shards | None = None, licence: str = "", **kwargs: Any):
        self._shards = shards or {}
        self._licence = licence
        super().__init__(file_format="array_record", **kwargs)

    def _features(self) -> tfds.features.FeaturesDict:
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.DESCRIPTION,
            features=self._features(),
            disable_shuffling=True,
            license=self._licence,
        )

    def _shard_iterators_per_split(self, dl_manager: Any) -> Shards:
        return self._shards


def existing(
    out: pathlib.Path, card: Mapping[str, Any], names: Sequence[str], overwrite: bool
) -> dict[str, Any] | None:
    """The card of the same data set if it stands in `out`; ValueError if something else does.

    `names` are what of the cards has to agree.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / data_card.FILE).exists():
        raise ValueError(f"{out} exists and holds no data set: choose another --out")
    if overwrite:
        return None
    found = data_card.read(out)
    if different := data_card.differences(found, card, names):
        raise ValueError(
            f"{out} holds another data set ({'; '.join(different)}): "
            "choose another --out or give --overwrite"
        )
    return found


@contextlib.contextmanager
def working(out: pathlib.Path) -> Iterator[pathlib.Path]:
    """A fresh folder beside `out`, gone after the block; what a killed build left there goes."""
    work = out.with_name(f".{out.name}.incomplete")
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
    except OSError as error:
        raise ValueError(
            f"{out} cannot be written ({error.strerror}): choose another --out"
        ) from None
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write(builder: type[Builder], work: pathlib.Path, shards: Shards, licence: str) -> pathlib.Path:
    """Writes the shards under `work`; returns the folder of the data set."""
    made = builder(shards=shards, licence=licence, data_dir=work / "tfds")
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints of downloads; there are none
        made.download_and_prepare(download_config=config, download_dir=work / "downloads")
    (written,) = (work / "tfds").glob("*/*")
    return written


def shard_sizes(count: int, shards: int) -> list[int]:
    """`count` records in so many shards, as evenly as can be."""
    edges = [count * number // shards for number in range(shards + 1)]
    return [after - before for before, after in itertools.pairwise(edges)]


def publish(written: pathlib.Path, out: pathlib.Path, card: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the card to the finished folder and puts it in place of `out`; returns the card."""
    size = sum(path.stat().st_size for path in written.iterdir())
    card = {**card, "bytes": size}
    data_card.write(written, card)
    old = written.with_name("replaced")  # nobody sees half a data set
    if out.exists():
        os.replace(out, old)
    os.replace(written, out)
    return card

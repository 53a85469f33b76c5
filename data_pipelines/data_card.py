"""The data card: what a data set is, in one JSON file and one page of text.

The content hash tells whether two builds hold the same data. It is taken over *decoded* records, so
it does not depend on shards, file format or the order of writing:

    record  = SHA-256 over the fields by name, each as name, dtype, shape, little-endian bytes
    content = SHA-256 over the record digests in order of subject number
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ofer_jax import atomic

FILE = "data_card.json"
FORMAT = 1
LICENCE = "CC0-1.0"
SPLITS = ("train", "validation", "test")


def content_hash(digests: Iterable[str]) -> str:
    """SHA-256 (hex) of a data set from its record digests in order of subject number."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def write(directory: pathlib.Path, card: Mapping[str, Any]) -> None:
    """Writes `data_card.json` and the same as a readable `README.md`."""
    atomic.write_text(directory / "README.md", _page(card))
    atomic.write_text(directory / FILE, json.dumps(card, indent=2) + "\n")


def read(directory: str | os.PathLike) -> dict[str, Any]:
    """Reads the data card of a data set; ValueError when the folder holds none."""
    path = pathlib.Path(directory) / FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        card["content_hash"], card["counts"], card["head"]["sha256"]
    except FileNotFoundError:
        raise ValueError(
            f"{directory} holds no data set (no {FILE}): build one with "
            f"python -m launch.build_dataset --out {directory}"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): build the data set again") from None
    return card


def splits(card: Mapping[str, Any]) -> list[str]:
    """The splits that hold something."""
    return [split for split in SPLITS if card["counts"].get(split)]


def differences(
    card: Mapping[str, Any], wanted: Mapping[str, Any], names: Sequence[str]
) -> list[str]:
    """What of `names` keeps `card` from being `wanted`, e.g. 'seed 0 instead of 1'."""
    return [
        f"{name} {card.get(name)} instead of {wanted.get(name)}"
        for name in names
        if _identity(card, name) != _identity(wanted, name)
    ]


def _identity(card: Mapping[str, Any], name: str) -> Any:
    # A head is known by its hash: older cards lack its release.
    return card.get("head", {}).get("sha256") if name == "head" else card.get(name)


def _page(card: Mapping[str, Any]) -> str:
    features = "\n".join(f"| `{name}` | {doc} |" for name, doc in card["features"].items())
    about = _about_faces(card) if card.get("kind") == "faces" else _about_open_head(card)
    return f"""# {card["name"]} {card["version"]}

{card["description"]}

{about}

Pictures as {card["picture"]["encoding"]}, quality {card["picture"]["quality"]}; {
        card["bytes"] / 1e6:.1f} MB. No subject is in two splits.

Content hash (decoded records, in order of subject number):
`{card["content_hash"]}`

| field | meaning |
| --- | --- |
{features}

Read it without TensorFlow:

    import tensorflow_datasets as tfds
    source = tfds.builder_from_directory(DIRECTORY).as_data_source("train")
"""


def _about_open_head(card: Mapping[str, Any]) -> str:
    counts = "\n".join(f"| {split} | {count} |" for split, count in card["counts"].items())
    return f"""Licence: {card["licence"]}. {_head(card)}
It is an artist's head space, not scans: its millimetres say nothing about accuracy on people.

| split | subjects (one pair of pictures each) |
| --- | --- |
{counts}

Seed {card["seed"]}."""


def _about_faces(card: Mapping[str, Any]) -> str:
    counts = "\n".join(
        f"| {split} | {count} | {card['subjects'][split]} |"
        for split, count in card["counts"].items()
    )
    settings = "\n".join(f"| {name} | {value} |" for name, value in card["settings"].items())
    rejected = "\n".join(f"| {why} | {count} |" for why, count in card["rejected"].items())
    return f"""Of {card["dataset"]}. Licence of the pictures: {card["licence"]}. {_head(card)}

| split | pictures | subjects |
| --- | --- | --- |
{counts}

| setting | value |
| --- | --- |
{settings}

| left out because | pictures |
| --- | --- |
{rejected or "| nothing | 0 |"}

Hash of the source list: `{card["source_hash"]}`."""


def _head(card: Mapping[str, Any]) -> str:
    head = card["head"]
    told = head.get("release") or "release not told"
    return f"Head: {head['name']}, {told} (SHA-256 {head['sha256']})."

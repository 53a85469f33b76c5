"""A small set of `faces` records, as a built one is, without what prepares real pictures."""

import functools
import io
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data_pipelines import data_card, faces_records, faces_tfds, tfds_build

HEAD = {"name": "toy", "sha256": "toy" * 4}
TO_112 = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]], np.float32)  # half the size


def face(number: int, subject: int, expressive: bool = True) -> dict[str, Any]:
    """A record: its number is the first of each coefficient; smooth pictures, an upright face."""
    rng = np.random.default_rng(number)
    across = np.linspace(0, 255, 224)[None, :, None] * rng.uniform(0.2, 1, 3)
    large = np.broadcast_to(across, (224, 224, 3)).astype(np.uint8)
    turn = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    oval = 112 + np.stack([50 * np.cos(turn), 65 * np.sin(turn)], axis=1)
    vectors = {n: np.full(shape, number, np.float32) for n, (shape, _) in _VECTORS.items()}
    return {
        **vectors,
        "crop_224": large,
        "crop_112": np.ascontiguousarray(large[::2, ::2]),
        "landmarks": oval.astype(np.float32),
        "to_112": TO_112,
        "score": np.float32(1),
        "has_expression": np.bool_(expressive),
        "subject_id": np.int64(subject),
        "subject": f"s{subject}",
        "dataset": "made up",
        "name": f"{number}",
        "head": HEAD["name"],
    }


_VECTORS = faces_records.VECTORS


def write(
    out: pathlib.Path,
    splits: Mapping[str, Sequence[dict[str, Any]]],
    head: Mapping[str, str] = HEAD,
) -> None:
    """The set in the folder `out`: records, rows, data card."""

    def shard(records: Sequence[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, record in enumerate(map(faces_records.encode, records)):
            pictures = {name: io.BytesIO(record[name]) for name in faces_records.PICTURES}
            yield number, record | pictures

    shards = {split: [functools.partial(shard, records)] for split, records in splits.items()}
    with tfds_build.working(out) as work:
        written = tfds_build.write(faces_tfds.Faces, work, shards, "none")
        for split, records in splits.items():
            subject_id = np.array([record["subject_id"] for record in records])
            known = np.array([record["has_expression"] for record in records])
            path = faces_records.rows_file(written, split)
            np.savez(path, subject_id=subject_id, has_expression=known)
        counts = {split: len(records) for split, records in splits.items()}
        card = {"kind": "faces", "head": head, "counts": counts, "content_hash": "made up"}
        (written / data_card.FILE).write_text(json.dumps(card))
        os.replace(written, out)

"""Small sets of features whose numbers tell what they are, and what takes batches of them."""

import json
import pathlib
import types

import jax
import numpy as np

from data_pipelines import input as pipeline

WIDTH = 557


def write_split(
    out: pathlib.Path,
    count: int,
    features: str = "open",
    *,
    subjects: np.ndarray | None = None,
    start: int = 0,
    variants: int = 0,
    head: str = "toy",
) -> None:
    """The arrays of a pass for `count` pictures: each row holds its number (from `start` on), which
    the occluded one exceeds by half, and its variant r by r / 64 more."""
    where = pipeline.folder(out, "train", features)
    where.mkdir(parents=True)
    widths = {"shape": 300, "expression": 100, "jaw": 3, "neck": 3, "eyes": 6}
    widths |= {"global_rotation": 3, "features_clean": WIDTH, "features_occluded": WIDTH}
    for name, width in widths.items():
        offset = 0.5 if name == "features_occluded" else 0
        rows = start + np.arange(count, dtype=np.float32)[:, None] + offset
        array = np.repeat(rows, width, axis=1)
        if variants and name == "features_occluded":
            array = array[:, None] + np.arange(variants, dtype=np.float32)[:, None] / 64
        np.save(where / f"{name}.npy", array)
    np.save(where / "subject.npy", np.arange(count) if subjects is None else subjects)
    np.save(where / "occluder.npy", np.array(["hand"] * count))
    meta = {"count": count, "features": features, "width": WIDTH, "projection": ""}
    meta |= {"head": {"name": head, "sha256": head * 4}, "content_hash": "0" * 8}
    (where / "meta.json").write_text(json.dumps(meta))


def config(folder: pathlib.Path, **changes) -> types.SimpleNamespace:
    return types.SimpleNamespace(**{"dir": str(folder), "batch_size": 8} | changes)


def take(iterator, steps: int) -> list[dict]:
    return [next(iterator) for _ in range(steps)]


def assert_equal(left: list[dict], right: list[dict]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        jax.tree.map(np.testing.assert_array_equal, a, b)

"""The finished folder of a split, as the feature, crop and encoder passes leave it.

    DIR/PASS/SPLIT/*.npy, meta.json, rejected.jsonl (a line a rejected pair, with the reason)

It appears whole or not at all. `data_pipelines.input` reads it.
"""

import collections
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from data_pipelines import input as pipeline
from data_pipelines import raw_pass
from ofer_jax import atomic


def collect(
    parts: pathlib.Path,
    target: pathlib.Path,
    card: Mapping[str, Any],
    large: Mapping[str, str],
    **own: Any,
) -> dict[str, Any]:
    """Puts the parts of a split together in the folder `target`, named as the split.

    Args:
      parts: the folder of the parts.
      target: appears whole or not at all.
      card: of the data set.
      large: the array in the parts of each file (without .npy) that is written part by part.
      own: what the meta tells of the pass (`describe`).

    Returns:
      The meta.
    """
    small = list(raw_pass.parts(parts, (*raw_pass.COPIED, "has_expression", "rejected")))
    rejected = [line for part in small for line in part.pop("rejected").tolist()]
    kept = [part for part in small if "subject" in part]
    if not kept:
        raise no_face(target.name)
    count = sum(len(part["subject"]) for part in kept)
    with atomic.replacing_folder(target) as work:
        for name in kept[0]:
            np.save(work / f"{name}.npy", np.concatenate([part[name] for part in kept]))
        for file, name in large.items():
            rows = (part[name] for part in raw_pass.parts(parts, (name,)) if name in part)
            join(rows, count, work / f"{file}.npy")
        return describe(work, card, target.name, count, rejected, **own)


def join(arrays: Iterable[np.ndarray], count: int, path: pathlib.Path) -> None:
    """Arrays of `count` rows in all as one, written to `path` one after another."""
    start, out = 0, None
    for rows in arrays:
        if out is None:
            out = np.lib.format.open_memmap(path, "w+", rows.dtype, (count, *rows.shape[1:]))
        out[start : start + len(rows)] = rows
        start += len(rows)


def describe(
    work: pathlib.Path,
    card: Mapping[str, Any],
    split: str,
    count: int,
    rejected: Sequence[str],
    **own: Any,
) -> dict[str, Any]:
    """Writes `rejected.jsonl` and `meta.json` into `work`, and returns the meta.

    Args:
      work: the folder.
      card: of the data set.
      split: its name.
      count: pairs that are left.
      rejected: a JSON text each.
      own: what the pass tells of itself: features, projection (its digest, or ""), ...
    """
    meta = {
        **own,
        "split": split,
        "head": card["head"],
        "count": count,
        "pairs": count + len(rejected),
        "rejected": _tally(rejected),
        "content_hash": card["content_hash"],
    }
    (work / "rejected.jsonl").write_text("".join(f"{line}\n" for line in rejected))
    (work / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")
    return meta


def _tally(rejected: Sequence[str]) -> dict[str, int]:
    """Rejected pairs by reason, as 'KIND: REASON'; by the clean picture's if that has one."""
    reasons = []
    for line in map(json.loads, rejected):
        kind = "clean" if line["clean"] else "occluded"
        reasons.append(f"{kind}: {line[kind]}")
    return dict(sorted(collections.Counter(reasons).items()))


def no_face(split: str) -> ValueError:
    """What to raise for a split of which nothing is left."""
    return ValueError(f"the detector found no face in any pair of the split {split!r}")


def is_there(directory: pathlib.Path, split: str, features: str, **wanted: Any) -> bool:
    """Whether the split already has features of this name whose meta says what is `wanted`."""
    try:
        meta = pipeline.read_meta(directory, split, features)
    except ValueError:
        return False
    return all(meta.get(name) == value for name, value in wanted.items())


def summary(metas: Mapping[str, Mapping[str, Any]]) -> str:
    """A line a split: how many pairs there were and are left, and why the others went."""
    lines = []
    for split, meta in metas.items():
        why = ", ".join(f"{count} {reason}" for reason, count in meta["rejected"].items())
        kept = f"{meta['count']} of {meta['pairs']} pairs ({meta['count'] / meta['pairs']:.1%})"
        what = f"{meta['width']} features" if "width" in meta else meta["features"]
        lines.append(f"{split}: {kept}, {what}; rejected: {why or 'none'}")
    return "\n".join(lines)

"""The finished folder of a split, as the feature pass and the crop pass leave it.

    DIR/PASS/SPLIT/*.npy, meta.json, rejected.jsonl (a line a rejected pair, with the reason)

It appears whole or not at all. `data_pipelines.input` reads it.
"""

import collections
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from data_pipelines import input as pipeline


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

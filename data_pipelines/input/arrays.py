"""The arrays that the passes leave of a split, and of several sets together.

Arrays are memory maps: a row is read when it is asked for.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from data_pipelines.input import cards, mixing
from data_pipelines.input.fields import COEFFICIENTS, CROPS, KINDS
from ofer_jax import flame

# Names of features that have a folder of their own; all others are those of the feature pass. 'map'
# is a further array there: 'open+map' are the open features and after them the whole map.
FOLDERS = {"crops": "crops", "arcface": "features_arcface", "farl": "features_farl"}
OPTIONS = {"crops": "crops", "arcface": "arcface", "farl": "farl"}  # of launch.build_dataset


class Rows:
    """Arrays as one, read when asked for; indexed by rows, or by (rows, variants)."""

    def __init__(self, arrays: Sequence[Any], shape: tuple[int, ...]):
        self.arrays, self.shape, self.dtype = arrays, shape, arrays[0].dtype

    ndim = property(lambda self: len(self.shape))

    def __len__(self) -> int:
        return self.shape[0]


class Beside(Rows):
    """Features of one picture side by side: [N, F] and [N, G] -> [N, F + G]."""

    def __init__(self, arrays: Sequence[Any]):
        widths = sum(array.shape[-1] for array in arrays)
        super().__init__(arrays, (*arrays[0].shape[:-1], widths))

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.concatenate([array[key] for array in self.arrays], axis=-1)


class Joined(Rows):
    """The rows of several sets, one set after another."""

    def __init__(self, arrays: Sequence[Any]):
        self.first = np.cumsum([0, *map(len, arrays)])
        super().__init__(arrays, (int(self.first[-1]), *arrays[0].shape[1:]))

    def __getitem__(self, key: Any) -> np.ndarray:
        rows = np.arange(len(self))[key]
        which = np.searchsorted(self.first, rows, side="right") - 1
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for number in np.unique(which).tolist():
            mine = which == number
            out[mine] = self.arrays[number][rows[mine] - self.first[number]]
        return out


MAP = "map"


def folder(directory: str | os.PathLike, split: str, features: str = "open") -> pathlib.Path:
    """Where a pass puts a split: for `features` 'crops' the crop pass, for 'arcface' or 'farl' the
    pass of that encoder, for any other name the feature pass."""
    return pathlib.Path(directory) / FOLDERS.get(features, "features") / split


def read_meta(directory: str | os.PathLike, split: str, features: str = "open") -> dict[str, Any]:
    """What is known of a split before it is read.

    Args:
      directory: of the data set, or several with weights (see `mixing`).
      split: its name.
      features: 'open', 'crops', 'arcface', 'farl', or two as 'farl+arcface', 'open+map'.

    Returns:
      `meta.json` of the pass: head, features, projection, count, content_hash and, but for crops,
      width. Of several sets: the sum of the counts, a hash of the hashes.

    Raises:
      ValueError: no such features there, or sets that do not fit each other.
    """
    folders, _ = mixing.parse(directory)
    metas = {where: _meta_of_set(where, split, features) for where in folders}
    first = metas[folders[0]]
    for where, meta in metas.items():
        if meta["head"]["sha256"] != first["head"]["sha256"]:
            raise ValueError(
                f"{where} was made with head {flame.title(meta['head'])} and {folders[0]} with "
                f"{flame.title(first['head'])}: their coefficients do not mean the same"
            )
        for name in ("features", "width", "projection"):
            if meta.get(name) != first.get(name):
                raise ValueError(
                    f"{where} has {name} {meta.get(name)!r} and {folders[0]} "
                    f"{first.get(name)!r}: make them in the same way"
                )
    if len(folders) == 1:
        return first
    hashes = "\n".join(meta["content_hash"] for meta in metas.values())
    return {
        **first,
        "count": sum(meta["count"] for meta in metas.values()),
        "content_hash": hashlib.sha256(hashes.encode()).hexdigest(),
    }


def _meta_of_set(directory: str, split: str, features: str) -> dict[str, Any]:
    if cards.in_records(directory, features):
        return _pictures().read_meta(directory, split)
    metas = [_meta_of_pass(directory, split, name) for name in features.split("+")]
    if len(metas) == 1:
        return metas[0]
    if len({(meta["count"], meta["content_hash"]) for meta in metas}) > 1:
        raise ValueError(f"{directory}: {features} are not of the same pictures; make them again")
    width = sum(meta["width"] for meta in metas)
    projection = "+".join(dict.fromkeys(meta["projection"] for meta in metas))
    return {**metas[0], "features": features, "width": width, "projection": projection}


def _pictures() -> Any:
    from data_pipelines.input import pictures  # with TFDS, which arrays do without

    return pictures


def subjects(directory: str, split: str, features: str) -> np.ndarray:
    """Whom each picture of one set shows [N]."""
    if cards.in_records(directory, features):
        return _pictures().faces_records.rows(directory, split)["subject_id"]
    return _load(folder(directory, split, features.split("+")[0]) / "subject.npy")


def sets(directory: str | os.PathLike) -> list[str]:
    """What the data sets of a folder, or of several with weights, are of: their cards' names."""
    return [name for where in mixing.parse(directory)[0] for name in cards.dataset(where)]


def unexpressive(directory: str | os.PathLike, split: str, features: str) -> list[str]:
    """The sets with pictures whose expression is not known; one that does not tell knows it."""
    found = []
    for where in mixing.parse(directory)[0]:
        path = folder(where, split, features.split("+")[0]) / "has_expression.npy"
        if cards.in_records(where, features):
            known = _pictures().faces_records.rows(where, split)["has_expression"]
        else:
            known = _load(path) if path.is_file() else np.array(True)
        if not known.all():
            found.append(where)
    return found


def _meta_of_pass(directory: str, split: str, features: str) -> dict[str, Any]:
    path = folder(directory, split, features) / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        return {**meta, "width": meta["map"]} if features == MAP else meta
    except (OSError, json.JSONDecodeError, KeyError):
        what = "crops" if features == "crops" else "features"
        raise ValueError(
            f"{directory} has no {what} of the split {split!r}: make them with "
            f"python -m launch.build_dataset --out {directory} "
            f"--features {OPTIONS.get(features, 'open')}"
        ) from None


def load_split(directory: str | os.PathLike, split: str, features: str = "open") -> dict[str, Any]:
    """All arrays of a split, memory-mapped and read-only, one row a picture; of several sets one
    set after another. Where there are several occluded versions of a picture, the first.

    Args:
      directory, split, features: as for `read_meta`.

    Returns:
      features_clean, features_occluded [N, F] float32, or for `features` 'crops' dicts of crop_112
      [N, 112, 112, 3] and crop_224 [N, 224, 224, 3], uint8 RGB; shape [N, 300]; expression
      [N, 100]; jaw, neck, global_rotation [N, 3] and eyes [N, 6] (axis-angle, radians); subject
      [N]; occluder [N] (str).

    Raises:
      ValueError: no features there, arrays of different lengths, sets that do not fit each other.
    """
    folders, _ = mixing.parse(directory)
    sets = []
    for where in folders:
        if cards.in_records(where, features):
            sets.append(_pictures().load_split(where, split))
        else:
            sets.append(load_set(where, split, features, all_variants=False))
    if len(sets) == 1:
        return sets[0]
    read_meta(directory, split, features)  # refuses what does not fit
    seen = {f"features_{kind}" for kind in KINDS}
    joined = {n: np.concatenate([s[n] for s in sets]) for n in sets[0] if n not in seen}
    people = [np.unique(s["subject"], return_inverse=True) for s in sets]
    first = np.cumsum([0, *(len(names) for names, _ in people)])
    numbers = [n + start for (_, n), start in zip(people, first[:-1], strict=True)]
    joined["subject"] = np.concatenate(numbers)  # one person's number is no other's
    return joined | {n: _map(lambda *a: Joined(a), *(s[n] for s in sets)) for n in seen}


def load_set(directory: str, split: str, features: str, *, all_variants: bool) -> dict[str, Any]:
    """The arrays of one set, as `load_split` gives them; with all occluded versions of a picture,
    features_occluded is [N, R, F] where there are R."""
    names = features.split("+")
    passes = [_load_pass(directory, split, name) for name in names]
    arrays = passes[0]
    if len(names) > 1:
        if any(not np.array_equal(each["subject"], arrays["subject"]) for each in passes):
            raise ValueError(f"{directory}: {features} are not of the same pictures")
        for kind in KINDS:
            arrays[f"features_{kind}"] = Beside([each[f"features_{kind}"] for each in passes])
    if all_variants:
        return arrays
    clean, hidden = (arrays[f"features_{kind}"] for kind in KINDS)
    return arrays | {
        "features_occluded": _map(_first_variant, clean, hidden),
        "occluder": arrays["occluder"][:, 0] if arrays["occluder"].ndim > 1 else arrays["occluder"],
    }


def _load_pass(directory: str, split: str, features: str) -> dict[str, Any]:
    count = _meta_of_pass(directory, split, features)["count"]
    where = folder(directory, split, features)
    seen = {"crops": CROPS, MAP: (MAP,)}.get(features, ("features",))
    names = [*COEFFICIENTS, *(f"{name}_{kind}" for name in seen for kind in KINDS)]
    arrays: dict[str, Any] = {name: _load(where / f"{name}.npy") for name in names}
    if lengths := {name: len(a) for name, a in arrays.items() if len(a) != count}:
        raise ValueError(f"{where} is damaged: {lengths} rows instead of {count}; make it again")
    if features == "crops":
        for kind in KINDS:
            arrays[f"features_{kind}"] = {name: arrays.pop(f"{name}_{kind}") for name in CROPS}
    if features == MAP:
        arrays |= {f"features_{kind}": arrays.pop(f"{MAP}_{kind}") for kind in KINDS}
    return arrays


def _load(path: pathlib.Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); run the feature pass again") from None


def _first_variant(clean: Any, hidden: Any) -> Any:
    if hidden.ndim == clean.ndim:
        return hidden
    if isinstance(hidden, Beside):
        return Beside([array[:, 0] for array in hidden.arrays])
    return hidden[:, 0]


def _map(function: Callable[..., Any], *features: Any) -> Any:
    """Of each array of features, or of each crop."""
    return jax.tree.map(function, *features)

"""Features of every picture of a data set, once, so that training never decodes a picture.

Stage 1 (minutes, `raw_pass`): faces and raw features, 40 kB a pair, in parts. Stage 2 (seconds,
here): raw features are projected (whitened principal components, `faces.fit_projection`) and
written as the arrays that `data_pipelines.input` reads:

    DIR/features/SPLIT/*.npy, meta.json, rejected.jsonl (a line a rejected pair, with the reason)

`features_clean` is [N, F] and `features_occluded` [N, F], or [N, R, F] where pictures of the train
split are seen behind R things each (`--variants`, see `raw_pass.Variants`); `occluder` as long.
`map_clean` and `map_occluded` are the middle map as a whole, float16 [N, M] or [N, R, M].

The projection is fitted on the train split alone and belongs to the embedded assets: a photograph
needs the very same one.
"""

import collections
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data_pipelines import data_card, finished, npz, raw_pass
from data_pipelines import input as pipeline
from data_pipelines.input import KINDS
from data_pipelines.npz import Arrays
from data_pipelines.raw_pass import Faces, Variants
from ofer_jax import atomic, openhead

NAME = "open"


def run(
    directory: str | os.PathLike,
    *,
    faces: Faces = raw_pass.open_faces,
    projection: str | os.PathLike | None = None,
    fit: int = 0,
    workers: int = 2,
    keep_raw: bool = False,
    variants: int = 1,
    strength: float = 1.0,
) -> dict[str, dict[str, Any]]:
    """Makes the features of all splits of the data set in `directory`; returns their metas.

    Features of this very data set and projection that are already there are left alone.

    Args:
      directory: of the data set.
      faces: gives the detector and the networks.
      projection: the .npz file to use, by default the embedded one.
      fit: fit the projection on this many train pairs first and write it to `projection`.
      workers: processes; 0 works in this one (and on its accelerator).
      keep_raw: leave the raw features on disk (20 kB a picture).
      variants: occluded versions of each picture of the train split, as `raw_pass` draws them;
        with more than one, `features_occluded` is [N, R, F] there.
      strength: of the occluders that are drawn, as in `augment.Settings`.

    Raises:
      ValueError: no data set there, no projection, no face in any picture of a split.
    """
    directory = pathlib.Path(directory)
    card = data_card.read(directory)
    splits = data_card.splits(card)
    path = pathlib.Path(projection) if projection else _embedded()
    wanted = Variants(variants, strength)
    if not fit and _done(directory, splits, card, load_projection(path), wanted, faces().MAP):
        return {split: pipeline.read_meta(directory, split) for split in splits}
    raw = raw_pass.folder(directory, "features", card, **wanted.told())
    raw_pass.extract(directory, splits, raw, take, faces, workers, wanted)
    if fit:
        path.parent.mkdir(parents=True, exist_ok=True)
        npz.save(path, fit_projection(raw / "train", faces(), fit))
    basis = load_projection(path)
    metas = {
        split: project(directory, raw, split, card, faces(), basis, wanted.of(split))
        for split in splits
    }
    if not keep_raw:
        shutil.rmtree(raw)
    return metas


def _embedded() -> pathlib.Path:
    return openhead.head_path().with_name("projection.npz")


def load_projection(path: pathlib.Path) -> Arrays:
    """The projection's arrays; the ValueError tells how to make one."""
    try:
        return npz.load(path)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no projection in {path} ({type(error).__name__}): "
            f"fit one by build_dataset --features open --fit_projection {path}"
        ) from None


def take(faces: Any, pictures: Sequence[np.ndarray], found: Sequence[Any]) -> Arrays:
    """The raw features of one face a picture, by name."""
    raw = faces.raw_features(pictures, found)
    return {name: np.asarray(getattr(raw, name)) for name in raw_names(faces)}


def raw_names(faces: Any) -> list[str]:
    """The names of the raw features: the fields of the dataclass `RawFeatures`."""
    return [field.name for field in dataclasses.fields(faces.RawFeatures)]


def fit_projection(parts: pathlib.Path, faces: Any, pairs: int) -> Arrays:
    """The projection fitted on the first `pairs` pairs of a split, clean and occluded pooled (the
    first variant)."""
    pool: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    seen = 0
    for part in raw_pass.parts(parts):
        for kind in KINDS if "subject" in part else ():
            for name in raw_names(faces):
                pool[name].append(_versions(part, kind, name)[: pairs - seen, 0])
        seen += len(part.get("subject", ()))
        if seen >= pairs:
            break
    if not seen:
        raise ValueError("the detector found no face in any pair of the train split")
    raw = faces.RawFeatures(**{name: np.concatenate(pool.pop(name)) for name in raw_names(faces)})
    return faces.fit_projection(raw)


def project(
    directory: pathlib.Path,
    raw: pathlib.Path,
    split: str,
    card: Mapping[str, Any],
    faces: Any,
    basis: Arrays,
    variants: Variants,
) -> dict[str, Any]:
    """Stage 2 for one split: writes its arrays and `meta.json`, and returns the meta."""
    rows: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    rejected: list[str] = []
    for part in raw_pass.parts(raw / split):
        rejected += part["rejected"].tolist()
        if "subject" not in part:
            continue
        for kind in KINDS:
            rows[f"features_{kind}"].append(_projected(part, kind, faces, basis))
        for name in part.keys() - {"rejected"}:
            if not name.startswith(tuple(f"{kind}_" for kind in KINDS)):
                rows[name].append(part[name])
    if not rows:
        raise finished.no_face(split)
    arrays = {name: np.concatenate(values) for name, values in rows.items()}
    count, width = arrays["features_clean"].shape
    own = {"features": NAME, "width": width, "map": faces.MAP}
    own |= {"projection": openhead.digest(basis), **variants.told()}
    with atomic.replacing_folder(pipeline.folder(directory, split)) as work:
        for name, array in arrays.items():
            np.save(work / f"{name}.npy", array)
        for kind in KINDS:
            maps = _maps(raw / split, kind, faces, basis)
            finished.join(maps, count, work / f"map_{kind}.npy")
        return finished.describe(work, card, split, count, rejected, **own)


def _versions(part: Arrays, kind: str, name: str) -> np.ndarray:
    """A raw feature of a part as [n, R, ...]; R is 1 for clean pictures."""
    array = part[f"{kind}_{name}"]
    return array if kind == "occluded" and part["occluder"].ndim == 2 else array[:, None]


def _projected(part: Arrays, kind: str, faces: Any, basis: Arrays) -> np.ndarray:
    """Features of a part, float32 [n, F], or [n, R, F] where there are R variants."""
    raw = {name: _versions(part, kind, name) for name in raw_names(faces)}
    count, variants = next(iter(raw.values())).shape[:2]
    flat = {name: array.reshape(-1, *array.shape[2:]) for name, array in raw.items()}
    found = np.asarray(faces.project(faces.RawFeatures(**flat), basis), np.float32)
    return found if variants == 1 else found.reshape(count, variants, -1)


def _maps(parts: pathlib.Path, kind: str, faces: Any, basis: Arrays) -> Iterator[np.ndarray]:
    """The whole maps of each part of a split: all of them together are too many for memory."""
    name = f"{kind}_middle"
    for part in raw_pass.parts(parts, (name,)):
        if name in part:
            yield faces.centred_map(part[name], basis)


def _done(
    directory: pathlib.Path,
    splits: Sequence[str],
    card: Mapping[str, Any],
    basis: Arrays,
    variants: Variants,
    width: int,
) -> bool:
    """Whether all splits already have features of this very data, projection and variants, and maps
    of this width."""
    same = {"content_hash": card["content_hash"], "projection": openhead.digest(basis)}
    same |= {"map": width}
    return all(
        finished.is_there(directory, split, NAME, **same, **variants.of(split).told())
        for split in splits
    )

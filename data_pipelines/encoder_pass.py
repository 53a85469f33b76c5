"""Frozen features of the published encoders for every picture of a data set, made once, so that a
network may be trained on them without pictures.

    DIR/features_NAME/SPLIT/features_clean.npy [N, F], features_occluded.npy ([N, F], or [N, R, F]
    of R occluders a picture), the coefficients, subject, meta.json, rejected.jsonl

NAME is the encoder's, 'arcface' or 'farl'. The pictures of the synthetic set are cut by the
detector, as in the crop pass; a `faces` set has its crops, and what hides them is drawn here, the
same thing in both crops, by the number of the picture alone. Workers cut, and this process encodes,
on its accelerator if it has one. It works in numbered parts: a part appears whole or not at all,
and a rerun goes on where a killed one stopped. Memory: a few parts of 200 pictures (38 MB).
"""

import dataclasses
import functools
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from data_pipelines import augment, crop_pass, data_card, finished, npz, pairs, parallel, raw_pass
from data_pipelines import input as pipeline
from data_pipelines.input import KINDS
from data_pipelines.npz import Arrays
from data_pipelines.raw_pass import COPIED, Faces, Variants
from ofer_jax.encoders import CROPS, Encoder

PICTURES = 200  # a part, hidden ones counted
OWN = (*(name for name in COPIED if name != "occluder"), "has_expression")
FILES = tuple(f"features_{kind}" for kind in KINDS)


@dataclasses.dataclass(frozen=True)
class Cut:
    """How the crops of a part are made; it travels to the workers.

    crops: the names of those wanted. faces: the detector and the crops for the synthetic set.
    """

    directory: pathlib.Path
    kind: str
    crops: tuple[str, ...]
    variants: Variants
    faces: Faces


@dataclasses.dataclass(frozen=True)
class Job:
    """A part: some rows of a split, and what its file is called."""

    split: str
    rows: range
    file: str


def run(
    directory: str | os.PathLike,
    encoders: Sequence[Encoder],
    *,
    faces: Faces = raw_pass.open_faces,
    workers: int = 2,
    variants: int = 1,
    strength: float = 1.0,
) -> dict[str, dict[str, Any]]:
    """Makes the features of all splits of the data set in `directory`; returns their metas, by
    'NAME SPLIT'.

    Features of this very data set, encoder and occluders that are already there are left alone.

    Args:
      directory: of the data set.
      encoders: whose features are wanted; each picture is cut once for all.
      faces: gives the detector and the crops for the synthetic set.
      workers: processes that cut; 0 cuts in this one.
      variants: occluded versions of each picture of the train split, as `raw_pass` draws them.
      strength: of the occluders that are drawn, as in `augment.Settings`.

    Raises:
      ValueError: no data set there, no face in any picture of a split.
    """
    directory = pathlib.Path(directory)
    card = data_card.read(directory)
    splits = data_card.splits(card)
    seen = Variants(variants, strength)
    drawn = dataclasses.asdict(seen)  # of photographs the only occluder is drawn, too
    of = seen.told() if pairs.kind(card) == pairs.SYNTHETIC else {"variants": drawn}
    missing = {e: _missing(directory, splits, e, card, of) for e in encoders}
    left = {e: _raw(directory, e, card, of) for e in encoders if missing[e]}
    if left:
        crops = tuple(sorted({CROPS[e.name] for e in left}))
        cut = Cut(directory, pairs.kind(card), crops, seen, faces)
        _encode(_jobs(directory, splits, seen), left, missing, cut, workers)
    for encoder, raw in left.items():
        for split in missing[encoder]:
            own = {"features": encoder.name, "width": encoder.width, "projection": encoder.digest}
            target = pipeline.folder(directory, split, encoder.name)
            own |= {"encoder": encoder.identity, **of}
            finished.collect(raw / split, target, card, dict(zip(FILES, FILES, strict=True)), **own)
        shutil.rmtree(raw)
    return {
        f"{e.name} {split}": pipeline.read_meta(directory, split, e.name)
        for e in encoders
        for split in splits
    }


def _missing(
    directory: pathlib.Path,
    splits: Sequence[str],
    encoder: Encoder,
    card: Mapping[str, Any],
    of: Mapping[str, Any],
) -> list[str]:
    wanted = {"content_hash": card["content_hash"], "projection": encoder.digest}
    wanted["variants"] = of.get("variants")
    return [s for s in splits if not finished.is_there(directory, s, encoder.name, **wanted)]


def _raw(
    directory: pathlib.Path, encoder: Encoder, card: Mapping[str, Any], of: Mapping[str, Any]
) -> pathlib.Path:
    """The folder of an encoder's parts; those of anything else are dropped."""
    name = pipeline.folder(directory, "train", encoder.name).parent.name
    return raw_pass.folder(directory, name, card, **of, encoder=encoder.digest, part=PICTURES)


def _jobs(directory: pathlib.Path, splits: Sequence[str], variants: Variants) -> list[Job]:
    """The parts of all splits, in order."""
    jobs = []
    for split in splits:
        size = max(1, PICTURES // (1 + variants.of(split).count))
        count = len(pairs.open_split(directory, split))
        for number, start in enumerate(range(0, count, size)):
            rows = range(start, min(start + size, count))
            jobs.append(Job(split, rows, f"part-{number:05d}.npz"))
    return jobs


def _encode(
    jobs: Sequence[Job],
    left: Mapping[Encoder, pathlib.Path],
    missing: Mapping[Encoder, Sequence[str]],
    cut: Cut,
    workers: int,
) -> None:
    """Makes the parts that are still missing, with a progress bar."""
    wanting = {
        job: [
            (encoder, path)
            for encoder, raw in left.items()
            if job.split in missing[encoder] and not (path := raw / job.split / job.file).exists()
        ]
        for job in jobs
    }
    todo = [job for job in jobs if wanting[job]]
    total, now = (sum(len(job.rows) for job in each) for each in (jobs, todo))
    arrays = parallel.ordered_map(functools.partial(_cut, cut=cut), todo, workers, ahead=2)
    names = " and ".join(encoder.name for encoder in left)
    with tqdm.tqdm(total=total, initial=total - now, unit="picture", desc=f"By {names}") as bar:
        for job, crops in zip(todo, arrays, strict=True):
            for encoder, path in wanting[job]:
                npz.save(path, _features(encoder, crops))
            bar.update(len(job.rows))


def _features(encoder: Encoder, arrays: Arrays) -> Arrays:
    """A part with the encoder's features in place of the crops."""
    rest = {name: a for name, a in arrays.items() if not name.startswith(KINDS)}
    for kind, file in zip(KINDS, FILES, strict=True) if "subject" in arrays else ():
        crops = arrays[f"{kind}_{CROPS[encoder.name]}"]  # [n, H, W, 3] or [n, R, H, W, 3]
        rows = encoder(crops.reshape(-1, *crops.shape[-3:]))
        rest[file] = rows.reshape(*crops.shape[:-3], -1)
    return rest


def _cut(job: Job, *, cut: Cut) -> Arrays:
    """Crops, coefficients and rejections of one part, as `raw_pass.raw_part` gives them."""
    source, variants = pairs.open_split(cut.directory, job.split), cut.variants.of(job.split)
    found = [source[row] for row in job.rows]
    if cut.kind == pairs.SYNTHETIC:
        take = functools.partial(crop_pass.take, names=cut.crops)
        return raw_pass.raw_part(found, take, cut.faces(), variants)
    hidden = [_hidden(pair, variants) for pair in found]
    arrays = {"rejected": np.array([], dtype=np.str_)}
    arrays |= {name: np.array([pair[name] for pair in found]) for name in OWN}
    for name in cut.crops:
        arrays[f"clean_{name}"] = np.stack([pair[name] for pair in found])
    for name in (*cut.crops, "occluder"):
        drawn = np.array([each[name] for each in hidden])  # [n, R, ...]
        key = name if name == "occluder" else f"occluded_{name}"
        arrays[key] = drawn[:, 0] if variants.count == 1 else drawn
    return arrays


def _hidden(pair: Mapping[str, Any], variants: Variants) -> dict[str, Sequence[Any]]:
    """The crops behind each of their occluders, and the kinds of these."""
    settings = augment.Settings(share=1.0, strength=variants.strength)
    both = functools.partial(
        augment.both,
        crop_112=pair["crop_112"],
        crop_224=pair["crop_224"],
        landmarks=pair["landmarks"],
        to_112=pair["to_112"],
        settings=settings,
    )
    seeds = ((variants.seed, pair["number"], number) for number in range(variants.count))
    drawn = [both(augment.rng(*seed)) for seed in seeds]
    crop_112, crop_224, kinds = zip(*drawn, strict=True)
    return {"crop_112": crop_112, "crop_224": crop_224, "occluder": kinds}

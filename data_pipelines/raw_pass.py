"""Stage 1 of the feature pass and of the crop pass: every face found, in numbered parts on disk.

Our own detector looks at each picture, clean and occluded, and what the pass asks for (raw
features, aligned crops) is taken of its first face, as it would be of a photograph. A pair is
rejected when either picture shows no face, or the face found is not the one that was drawn. A part
appears whole or not at all, and a rerun goes on where a killed one stopped.

    DIR/PASS/raw/SPLIT/part-00000.npz    arrays as `raw_part` returns them
"""

import functools
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from data_pipelines import parallel, records
from data_pipelines.input import KINDS
from ofer_jax import atomic

PART = 100  # pairs a part
COPIED = ("shape", "expression", "jaw", "neck", "eyes", "global_rotation", "subject", "occluder")
# Gives a module or an object with detect_batch and what the pass takes of a face, as
# `ofer_jax.faces` has them; it travels to the workers by its name.
Faces = Callable[[], Any]
Arrays = dict[str, np.ndarray]
# (faces, pictures, the face in each) -> arrays, one row a picture; travels by its name, too.
Take = Callable[[Any, Sequence[np.ndarray], Sequence[Any]], Arrays]


def open_faces() -> Any:
    """The embedded open networks."""
    from ofer_jax import faces  # a worker loads them, not everyone who imports this file

    return faces


def folder(directory: pathlib.Path, name: str, card: Mapping[str, Any]) -> pathlib.Path:
    """The folder of a pass's parts; parts of another data set or of another size are dropped."""
    raw = directory / name / "raw"
    marker = raw / "of.json"
    wanted = {"content_hash": card["content_hash"], "part": PART}
    if not marker.exists() or json.loads(marker.read_text()) != wanted:
        shutil.rmtree(raw, ignore_errors=True)
        raw.mkdir(parents=True)
        atomic.write_text(marker, json.dumps(wanted))
    return raw


def extract(
    directory: pathlib.Path,
    splits: Sequence[str],
    raw: pathlib.Path,
    take: Take,
    faces: Faces,
    workers: int,
) -> None:
    """Makes the parts that are still missing, with a progress bar.

    Args:
      directory: of the data set.
      splits: to look at.
      raw: the folder of the parts.
      take: what to keep of a face.
      faces: gives the detector and the networks.
      workers: processes; 0 works in this one (and on its accelerator).
    """
    jobs = []
    for split in splits:
        count = len(records.open_split(directory, split))
        for number, start in enumerate(range(0, count, PART)):
            path = raw / split / f"part-{number:05d}.npz"
            jobs.append((path, split, range(start, min(start + PART, count))))
    missing = [job for job in jobs if not job[0].exists()]
    total, left = (sum(len(rows) for *_, rows in each) for each in (jobs, missing))
    work = functools.partial(_extract_part, directory=directory, take=take, faces=faces)
    with tqdm.tqdm(total=total, initial=total - left, unit="pair", desc="Looking at faces") as bar:
        for pairs in parallel.ordered_map(work, missing, workers, ahead=2):
            bar.update(pairs)


def _extract_part(
    job: tuple[pathlib.Path, str, range], *, directory: pathlib.Path, take: Take, faces: Faces
) -> int:
    path, split, rows = job
    source = records.open_split(directory, split)
    arrays = raw_part([source[row] for row in rows], take, faces())
    save(path, arrays)
    return len(rows)


def raw_part(pairs: Sequence[Mapping[str, Any]], take: Take, faces: Any) -> Arrays:
    """What is taken of the faces, coefficients and rejections of a few records.

    Returns:
      `clean_X` and `occluded_X` for each X that `take` gives, and the coefficients, one row a
      kept pair (absent when none is), and `rejected`: a JSON text a rejected pair.
    """
    pictures = [pair[name] for pair in pairs for name in ("image", "occluded")]
    found = faces.detect_batch(pictures)
    kept, rejected = [], []
    for row, pair in enumerate(pairs):
        faults = [_fault(each, pair["landmarks"]) for each in found[2 * row : 2 * row + 2]]
        if any(faults):
            rejected.append(json.dumps(_rejection(pair, faults)))
        else:
            kept.append(row)
    arrays = {"rejected": np.array(rejected, dtype=np.str_)}
    if kept:
        arrays |= {name: np.array([pairs[row][name] for row in kept]) for name in COPIED}
        for offset, kind in enumerate(KINDS):
            chosen = [2 * row + offset for row in kept]
            taken = take(faces, [pictures[i] for i in chosen], [found[i][0] for i in chosen])
            arrays |= {f"{kind}_{name}": array for name, array in taken.items()}
    return arrays


def _fault(faces: Sequence[Any], landmarks: np.ndarray) -> str:
    """Why the first face found does not serve, or ''."""
    if not faces:
        return "no face"
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    box = np.asarray(faces[0].box).reshape(2, 2)
    off = np.linalg.norm(box.mean(axis=0) - (low + high) / 2)
    return "not on the face" if off > 0.5 * np.max(high - low) else ""


def _rejection(pair: Mapping[str, Any], faults: Sequence[str]) -> dict[str, Any]:
    line = {"subject": int(pair["subject"]), "occluder": pair["occluder"]}
    return line | dict(zip(KINDS, faults, strict=True))


def save(path: pathlib.Path, arrays: Mapping[str, Any]) -> None:
    """Writes an .npz that appears whole or not at all."""
    with atomic.writing(path) as temporary:
        np.savez(temporary, **arrays)


def load(path: pathlib.Path, names: Sequence[str] | None = None) -> Arrays:
    """The arrays of an .npz: all, or those of `names` that it has, the others unread."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files if names is None or name in names}


def parts(where: pathlib.Path, names: Sequence[str] | None = None) -> Iterator[Arrays]:
    """The parts of a split, in order; `names` as `load` takes them."""
    return (load(path, names) for path in sorted(where.glob("part-*.npz")))

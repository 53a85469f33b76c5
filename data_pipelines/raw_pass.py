"""Stage 1 of the feature pass and of the crop pass: every face found, in numbered parts on disk.

Our own detector looks at each picture, clean and occluded, and what the pass asks for (raw
features, aligned crops) is taken of its first face, as it would be of a photograph. A pair is
rejected when either picture shows no face, or the face found is not the one that was drawn. A part
appears whole or not at all, and a rerun goes on where a killed one stopped.

A picture may be seen behind several things: the first is the set's own where it has one, the others
are drawn by `augment` from the clean picture, by (seed, number of the picture, variant). A variant
in which the face is not found gives way to another of the same picture; the pair goes only with all
of them.

    DIR/PASS/raw/SPLIT/part-00000.npz    arrays as `raw_part` returns them
"""

import dataclasses
import functools
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from data_pipelines import augment, npz, pairs, parallel
from data_pipelines.input import KINDS
from data_pipelines.npz import Arrays
from ofer_jax import atomic

PART = 100  # pairs a part
COPIED = ("shape", "expression", "jaw", "neck", "eyes", "global_rotation", "subject", "occluder")
# Gives a module or an object with detect_batch and what the pass takes of a face, as
# `ofer_jax.faces` has them; it travels to the workers by its name.
Faces = Callable[[], Any]
# (faces, pictures, the face in each) -> arrays, one row a picture; travels by its name, too.
Take = Callable[[Any, Sequence[np.ndarray], Sequence[Any]], Arrays]


@dataclasses.dataclass(frozen=True)
class Variants:
    """Occluded versions of a picture of the train split; the other splits have one."""

    count: int = 1
    strength: float = 1.0  # of what is drawn
    seed: int = 0

    def of(self, split: str) -> "Variants":
        """Those of a split: the others are measured on, and stay as they are."""
        return self if split == "train" else dataclasses.replace(self, count=1)

    def told(self) -> dict[str, Any]:
        """What a file that holds them says of them: nothing of the usual single one."""
        return {} if self.count == 1 else {"variants": dataclasses.asdict(self)}

    def draw(self, pair: Mapping[str, Any]) -> tuple[list[np.ndarray], list[str]]:
        """The occluded pictures of a record, and what hides the face in each."""
        own = [pair["occluded"]] if "occluded" in pair else []
        kinds = [str(pair["occluder"])] if own else []
        settings = augment.Settings(share=1.0, strength=self.strength)
        for number in range(len(own), self.count):
            rng = augment.rng(self.seed, int(pair["number"]), number)
            picture, _, kind = augment.occlude(rng, pair["image"], pair["landmarks"], settings)
            own.append(picture)
            kinds.append(kind)
        return own, kinds


ONE = Variants()


def open_faces() -> Any:
    """The embedded open networks."""
    from ofer_jax import faces  # a worker loads them, not everyone who imports this file

    return faces


def folder(directory: pathlib.Path, name: str, card: Mapping[str, Any], **own: Any) -> pathlib.Path:
    """The folder of a pass's parts; parts of another data set or of another size are dropped, or
    with other `own` settings of the pass."""
    raw = directory / name / "raw"
    marker = raw / "of.json"
    wanted = {"content_hash": card["content_hash"], "part": PART, **own}
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
    variants: Variants = ONE,
) -> None:
    """Makes the parts that are still missing, with a progress bar.

    Args:
      directory: of the data set.
      splits: to look at.
      raw: the folder of the parts.
      take: what to keep of a face.
      faces: gives the detector and the networks.
      workers: processes; 0 works in this one (and on its accelerator).
      variants: of each picture.
    """
    jobs = []
    for split in splits:
        count = len(pairs.open_split(directory, split))
        for number, start in enumerate(range(0, count, PART)):
            path = raw / split / f"part-{number:05d}.npz"
            jobs.append((path, split, range(start, min(start + PART, count))))
    missing = [job for job in jobs if not job[0].exists()]
    total, left = (sum(len(rows) for *_, rows in each) for each in (jobs, missing))
    given = {"directory": directory, "take": take, "faces": faces, "variants": variants}
    work = functools.partial(_extract_part, **given)
    with tqdm.tqdm(total=total, initial=total - left, unit="pair", desc="Looking at faces") as bar:
        for done in parallel.ordered_map(work, missing, workers, ahead=2):
            bar.update(done)


def _extract_part(
    job: tuple[pathlib.Path, str, range],
    *,
    directory: pathlib.Path,
    take: Take,
    faces: Faces,
    variants: Variants,
) -> int:
    path, split, rows = job
    source = pairs.open_split(directory, split)
    arrays = raw_part([source[row] for row in rows], take, faces(), variants.of(split))
    npz.save(path, arrays)
    return len(rows)


def raw_part(
    found_pairs: Sequence[Mapping[str, Any]], take: Take, faces: Any, variants: Variants = ONE
) -> Arrays:
    """What is taken of the faces, coefficients and rejections of a few records.

    Returns:
      For each X that `take` gives `clean_X` [n, ...] and `occluded_X`, [n, ...] for one variant
      and [n, R, ...] for more; the coefficients, one row a kept pair (absent when none is); and
      `rejected`: a JSON text a rejected pair.
    """
    pictures, kinds = [], []
    for pair in found_pairs:
        hidden, names = variants.draw(pair)
        pictures += [pair["image"], *hidden]
        kinds.append(names)
    found = faces.detect_batch(pictures)
    step = 1 + variants.count
    kept, chosen, rejected = [], [], []  # rows; the pictures to take, clean and then each variant
    for row, pair in enumerate(found_pairs):
        numbers = range(row * step, (row + 1) * step)
        faults = [_fault(found[number], pair["landmarks"]) for number in numbers]
        valid = [number for number in range(variants.count) if not faults[1 + number]]
        if faults[0] or not valid:
            rejected.append(json.dumps(_rejection(pair, kinds[row][0], faults)))
            continue
        # a variant that shows no face gives way to the others in turn
        seen = [n if n in valid else valid[n % len(valid)] for n in range(variants.count)]
        kinds[row] = [kinds[row][number] for number in seen]
        kept.append(row)
        chosen.append([numbers[0], *(numbers[1 + number] for number in seen)])
    arrays = {"rejected": np.array(rejected, dtype=np.str_)}
    if kept:
        arrays |= _coefficients([found_pairs[row] for row in kept])
        arrays["occluder"] = _squeezed(np.array([kinds[row] for row in kept]))
        order = [number for numbers in chosen for number in numbers]
        taken = take(faces, [pictures[i] for i in order], [found[i][0] for i in order])
        for name, array in taken.items():
            array = array.reshape(len(kept), step, *array.shape[1:])
            arrays |= {f"clean_{name}": array[:, 0], f"occluded_{name}": _squeezed(array[:, 1:])}
    return arrays


def _coefficients(kept: Sequence[Mapping[str, Any]]) -> Arrays:
    names = [name for name in (*COPIED, "has_expression") if name in kept[0] and name != "occluder"]
    return {name: np.array([pair[name] for pair in kept]) for name in names}


def _squeezed(array: np.ndarray) -> np.ndarray:
    """[n, R, ...], or [n, ...] of a single variant."""
    return array[:, 0] if array.shape[1] == 1 else array


def _fault(faces: Sequence[Any], landmarks: np.ndarray) -> str:
    """Why the first face found does not serve, or ''."""
    if not faces:
        return "no face"
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    box = np.asarray(faces[0].box).reshape(2, 2)
    off = np.linalg.norm(box.mean(axis=0) - (low + high) / 2)
    return "not on the face" if off > 0.5 * np.max(high - low) else ""


def _rejection(pair: Mapping[str, Any], occluder: str, faults: Sequence[str]) -> dict[str, Any]:
    line = {"subject": int(pair["subject"]), "occluder": occluder}
    return line | dict(zip(KINDS, faults[:2], strict=True))


def parts(where: pathlib.Path, names: Sequence[str] | None = None) -> Iterator[Arrays]:
    """The parts of a split, in order; `names` as `npz.load` takes them."""
    return (npz.load(path, names) for path in sorted(where.glob("part-*.npz")))

"""All pictures of a benchmark: checked, then measured by all cores, in parts that a killed run
keeps.

A job compares one prediction with one scan. Its distances lie in a file of their own, that appears
whole or not at all, under a name made of everything they depend on: both files' bytes and the
settings. So a run that goes on skips what is there, and never takes what belongs to other inputs.
"""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import io
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ofer_jax import atomic
from ofer_jax.now import checks, files, protocol
from ofer_jax.now.layout import Item, Prediction
from ofer_jax.now.protocol import Face, Settings

VERSION = 2  # of the measurement: with another, nothing that is kept serves
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SHOWN = 12  # lines of one kind


@dataclass(frozen=True)
class Job:
    """One prediction against one scan. `prediction` None is the scan itself; `unit` is what the
    prediction's numbers are, in millimetres."""

    name: str
    scan: Path
    landmarks: Path
    prediction: Prediction | None
    unit: float


def check(
    items: Sequence[Item],
    found: Mapping[str, Prediction],
    *,
    unit: str,
    metrical: bool,
    neutral: checks.Neutral | None = None,
    workers: int = 0,
) -> checks.Findings:
    """Looks at every prediction beside its scan.

    Args:
      items: the pictures.
      found: their predictions.
      unit: 'mm', 'cm' or 'm', or '' if nobody said.
      metrical: the unit counts.
      neutral: of the head in use.
      workers: processes; 0 works in this one.
    """
    out = checks.Findings()
    if metrical and not unit:
        out.errors.append("--metrical needs the meshes' unit: say --unit mm, cm or m")
    function = functools.partial(_check, neutral=neutral, unit=unit)
    present = [(item, found[item.image]) for item in items if item.image in found]
    looks = [look for _, look in _mapped(function, present, workers, "checking")]
    for look in looks:
        out.errors += look["errors"]
        out.notes += look["notes"]
    units = {look["unit"]: look["mesh"] for look in looks if look["unit"]}
    if not unit and len(units) > 1:
        both = " and ".join(f"{mesh} in {name}" for name, mesh in list(units.items())[:2])
        out.errors.append(f"the predictions are of different units: {both}; write all in one unit")
    coloured = [look["mesh"] for look in looks if look["coloured"]]
    if coloured:
        out.notes.append(
            f"{len(coloured)} OBJ files hold colours in their vertex lines ({coloured[0]}); "
            "positions are read right here, not by every program: hand in meshes without colours"
        )
    return out


def lines(findings: checks.Findings) -> list[str]:
    """Errors, then notes, each kind shortened."""
    return [*_short("error", findings.errors), *_short("note", findings.notes)]


def _short(kind: str, texts: Sequence[str]) -> list[str]:
    unique = list(dict.fromkeys(texts))
    shown = [f"{kind}: {text}" for text in unique[:_SHOWN]]
    more = len(unique) - _SHOWN
    return [*shown, f"{kind}: ... and {more} more of the kind"] if more > 0 else shown


def measure(
    jobs: Sequence[Job], folder: str | Path, settings: Settings, *, workers: int = 0
) -> tuple[dict[str, Float[np.ndarray, "N"]], dict[str, str]]:
    """Distances (float32, millimetres) by job, and what went wrong with those that have none.

    Args:
      jobs: of different names.
      folder: of what is kept between runs.
      settings: of the protocol.
      workers: processes; 0 works in this one.
    """
    function = functools.partial(_measure, folder=Path(folder), settings=settings)
    done, failed = {}, {}
    # Pictures of one person together: its scan is read once.
    ordered = sorted(jobs, key=lambda job: (str(job.scan), job.name))
    for job, (path, error) in _mapped(function, ordered, workers, "measuring"):
        if error:
            failed[job.name] = error
        else:
            done[job.name] = np.load(path)["distances"]
    return {job.name: done[job.name] for job in jobs if job.name in done}, failed


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _mapped(
    function: Callable[[Any], Any], given: Sequence[Any], workers: int, title: str
) -> Iterator[tuple[Any, Any]]:
    """(item, result) as they come, with a progress bar."""
    bar = functools.partial(tqdm, total=len(given), desc=title, unit="image")
    if workers < 2 or len(given) < 2:
        yield from bar((item, function(item)) for item in given)
        return
    # A worker uses one core; JAX, if it is loaded here, does not stand a fork.
    kept = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        context = multiprocessing.get_context("spawn")
        size = min(workers, len(given))
        with concurrent.futures.ProcessPoolExecutor(size, context, _leave_with_parent) as pool:
            futures = {pool.submit(function, item): item for item in given}
            try:
                for future in bar(concurrent.futures.as_completed(futures)):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _leave_with_parent() -> None:
    """Ends this worker when its parent is killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # it runs in workers only

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _check(
    given: tuple[Item, Prediction], neutral: checks.Neutral | None, unit: str
) -> dict[str, Any]:
    item, prediction = given
    mesh, marks = str(prediction.mesh), str(prediction.landmarks)
    look: dict[str, Any] = {"mesh": mesh, "unit": "", "coloured": False, "notes": []}
    try:
        assert item.scan and item.landmarks
        scan = _scan(item.scan, item.landmarks)
        read = files.mesh(mesh)
        found = Face(read.vertices, read.triangles, files.landmarks(marks))
    except ValueError as error:
        return look | {"errors": [str(error)]}
    eyes = checks.eye_distance(scan.landmarks)
    if said := checks.unit(eyes, "mm"):
        return look | {"errors": [f"{item.landmarks}: of the scan, {said}"]}
    findings = checks.face(found, scan, mesh=mesh, marks=marks, neutral=neutral)
    eyes = checks.eye_distance(found.landmarks)
    if unit and not findings.errors and (said := checks.unit(eyes, unit)):
        findings.errors.append(f"{mesh}: {said}")
    known = checks.unit_of(eyes) if not findings.errors else ""
    look |= {"unit": known, "coloured": read.coloured}
    return look | {"errors": findings.errors, "notes": findings.notes}


def _measure(job: Job, folder: Path, settings: Settings) -> tuple[Path, str]:
    try:
        parts = [job.scan, job.landmarks]
        parts += [job.prediction.mesh, job.prediction.landmarks] if job.prediction else []
        facts = f"{VERSION} {settings} {job.unit if settings.metrical else ''}"
        key = hashlib.sha256("\n".join([facts, *map(_digest, parts)]).encode()).hexdigest()
        path = folder / f"{job.name}.{key[:16]}.npz"
        if path.is_file():
            return path, ""
        scan = _scan(job.scan, job.landmarks)
        face = scan
        if job.prediction:
            read = files.mesh(job.prediction.mesh)
            marks = files.landmarks(job.prediction.landmarks)
            face = Face(job.unit * read.vertices, read.triangles, job.unit * marks)
        found = protocol.distances(scan, face, settings).astype(np.float32)
        stream = io.BytesIO()
        np.savez(stream, distances=found)
        atomic.write_bytes(path, stream.getvalue(), sync=False)
        return path, ""
    except (ValueError, OSError, np.linalg.LinAlgError) as error:
        return folder, f"{job.name}: {error}"


def _scan(mesh: Path, landmarks: Path) -> Face:
    return _read_scan(mesh, landmarks, _stamp(mesh), _stamp(landmarks))


@functools.lru_cache(maxsize=2)
def _read_scan(mesh: Path, landmarks: Path, *stamps: tuple[int, int]) -> Face:
    read = files.mesh(mesh)
    return Face(read.vertices, read.triangles, files.landmarks(landmarks))


def _digest(path: Path) -> str:
    return _read_digest(path, _stamp(path))


@functools.lru_cache(maxsize=16)
def _read_digest(path: Path, stamp: tuple[int, int]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    """What changes with the file, so that what is kept of it is never of an older one."""
    try:
        stat = path.stat()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    return stat.st_mtime_ns, stat.st_size

"""Coefficients of registered meshes (FaMoS, CoMA, one's own), subject by subject, as files.

    OUT/SUBJECT/SEQUENCE/FRAME.npz   shape [300], exp [100], pose [15] (root, neck, jaw, left eye,
                                     right eye; axis-angle, radians), trans [3] (metres), and
                                     mean_residual, max_residual (metres)
    OUT/.shapes/SUBJECT.npy          the shape, from frames spread over all of the subject's
    OUT/settings.json                the head, and how it was fitted
    OUT/fits.jsonl, rejected.jsonl   a line a mesh, written at the end

Each file appears whole. A rerun goes on where a killed one was; rejected meshes are tried again.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import trimesh
from jaxtyping import Float
from tqdm import tqdm

from data_pipelines import npz, sets
from data_pipelines.sets import Mesh
from ofer_jax import atomic, openhead
from ofer_jax.flame import FlameModel, fit

SPREAD, CHUNK = 8, 16  # frames for a shape; frames fitted at once
_MAX_FILE = 64 << 20
_ALIKE = 0.9  # share of a file's triangles that have to be the head's


@dataclasses.dataclass(frozen=True)
class Options:
    """How meshes are read and what is let through.

    Attributes:
        unit: metres of one unit in the files.
        limit: the largest mean distance of a mesh's vertices from the fit, metres.
        fit: priors and steps.
    """

    unit: float = 1.0
    limit: float = 2e-3
    fit: fit.Settings = dataclasses.field(default_factory=fit.Settings)


def run(
    meshes: Sequence[Mesh],
    head: FlameModel,
    out: Path,
    options: Options,
    weights: Float[np.ndarray, "V"] | None = None,
) -> dict[str, Any]:
    """Fits what is not yet fitted, and writes the two lists.

    Args:
        meshes: as `sets.meshes` gives them.
        head: whose topology they have.
        out: folder of the fits.
        options: see there.
        weights: of the vertices, as for `fit.prepare`.

    Returns:
        count, fitted, rejected (by reason), and the mean, 95 % and largest mean residual (mm).

    Raises:
        ValueError: `out` holds fits with other settings, or the weights are none.
    """
    fitter = _Fitter(head, out, options, fit.prepare(head, weights, options.fit))
    _same_settings(out, head, options, weights)
    rejected: list[dict[str, str]] = []
    with tqdm(total=len(meshes), unit="mesh", desc="fitting") as bar:
        for _, group in itertools.groupby(meshes, lambda mesh: mesh.subject):
            own = list(group)
            missing = [mesh for mesh in own if not sets.fit_path(out, mesh).exists()]
            bar.update(len(own) - len(missing))
            for line in fitter.subject(own, missing, bar):
                rejected.append(line)
    lines = list(_residuals(meshes, out))
    _write_lines(out / "fits.jsonl", lines)
    _write_lines(out / "rejected.jsonl", rejected)
    return _summary(len(meshes), lines, rejected)


class _Fitter:
    """What is the same for all subjects."""

    def __init__(self, head: FlameModel, out: Path, options: Options, problem: fit.Problem) -> None:
        self.head, self.out, self.options, self.problem = head, out, options, problem
        self.triangles = _corners(np.asarray(head.faces))

    def subject(
        self, meshes: Sequence[Mesh], missing: Sequence[Mesh], bar: tqdm
    ) -> Iterator[dict[str, str]]:
        """Fits the missing meshes of a subject; yields those that are rejected."""
        if not missing:
            return
        shape = self.shape(meshes)
        for start in range(0, len(missing), CHUNK):
            chunk, good = missing[start : start + CHUNK], []
            for mesh in chunk:
                try:
                    good.append((mesh, self.load(mesh)))
                except ValueError as error:
                    yield _rejection(mesh, str(error))
            if shape is not None and good:
                yield from self.frames(good, shape)
            bar.update(len(chunk))

    def shape(self, meshes: Sequence[Mesh]) -> np.ndarray | None:
        """A subject's shape from SPREAD frames all over; None if no mesh can be read.

        Frames that do not fit are left out and the others fitted again.
        """
        path = self.out / ".shapes" / f"{meshes[0].subject}.npy"
        if path.exists():
            return np.load(path, allow_pickle=False)
        found = list(itertools.islice(self._readable(_spread(meshes)), SPREAD))
        if not found:
            return None
        padded, here = (jnp.asarray(each) for each in _padded(found, SPREAD))
        fitted = fit.subjects(self.problem, padded[None], here[None])
        kept = here * (np.asarray(fitted.mean_residual[0]) <= self.options.limit)
        if 0 < kept.sum() < here.sum():
            fitted = fit.subjects(self.problem, padded[None], kept[None])
        shape = np.asarray(fitted.shape[0], np.float32)
        with atomic.writing(path) as beside:
            np.save(beside, shape)
        return shape

    def _readable(self, meshes: Iterable[Mesh]) -> Iterator[np.ndarray]:
        for mesh in meshes:
            try:
                yield self.load(mesh)
            except ValueError:  # it is told when its turn comes
                continue

    def frames(
        self, good: Sequence[tuple[Mesh, np.ndarray]], shape: np.ndarray
    ) -> Iterator[dict[str, str]]:
        """Writes the fits of some frames; yields those above the limit."""
        padded, _ = _padded([vertices for _, vertices in good], CHUNK)
        found = fit.frames(self.problem, jnp.asarray(padded), jnp.asarray(shape))
        values = {name: np.asarray(value)[0] for name, value in found._asdict().items()}
        for i, (mesh, _) in enumerate(good):
            row = {name: v if name == "shape" else v[i] for name, v in values.items()}
            off = float(row["mean_residual"])
            if not off <= self.options.limit:
                limit = f"{1e3 * self.options.limit:.3g} mm"
                yield _rejection(mesh, f"mean residual {1e3 * off:.3g} mm, above {limit}")
                continue
            write(sets.fit_path(self.out, mesh), row)

    def load(self, mesh: Mesh) -> Float[np.ndarray, "V 3"]:
        """A mesh's vertices in metres; a ValueError says in one line why it cannot be fitted."""
        vertices, triangles = read(mesh.path)
        vertices = vertices * self.options.unit
        if fault := fit.fault(self.head, vertices):
            raise ValueError(fault)
        if len(triangles):
            shared = np.isin(_corners(triangles), self.triangles).mean()
            if shared < _ALIKE:
                raise ValueError(f"only {shared:.0%} of its triangles are the head's")
        return vertices.astype(np.float32)


def write(path: Path, row: dict[str, np.ndarray]) -> None:
    """One fit, named as OFER names its parameters."""
    turns = ("global_rotation", "neck", "jaw", "eyes")
    arrays = {
        "shape": row["shape"],
        "exp": row["expression"],
        "pose": np.concatenate([row[name] for name in turns]),
        "trans": row["translation"],
        "mean_residual": row["mean_residual"],
        "max_residual": row["max_residual"],
    }
    npz.save(path, arrays, sync=False)


def read(path: str) -> tuple[Float[np.ndarray, "V 3"], np.ndarray]:
    """Vertices and triangles [F, 3] of a .ply or .obj, in the file's order, nothing merged.

    Raises a ValueError of one line.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _MAX_FILE:
            raise ValueError(f"the file is larger than {_MAX_FILE >> 20} MB")
        data = file.read_bytes()
        if file.suffix.lower() == ".obj":
            return _obj(data.decode("utf-8", "replace"))
        # from memory, so that it can name no other file
        mesh: Any = trimesh.load(
            io.BytesIO(data), file_type="ply", process=False, fix_texture=False
        )
        return np.asarray(mesh.vertices, np.float64), np.asarray(getattr(mesh, "faces", ()))
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror})") from None
    except Exception as error:  # trimesh raises many kinds on broken files
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(f"the mesh cannot be read: {detail}") from None


def _obj(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Lines `v x y z` and `f a/.. b/.. c/..`; a face of more corners is left out."""
    vertices, triangles = [], []
    for line in text.splitlines():
        if line.startswith("v "):
            vertices.append([float(word) for word in line.split()[1:4]])
        elif line.startswith("f "):
            corners = [int(word.split("/")[0]) for word in line.split()[1:]]
            if len(corners) == 3:
                triangles.append(corners)
    return np.array(vertices, np.float64).reshape(-1, 3), np.array(triangles, int).reshape(
        -1, 3
    ) - 1


def _corners(triangles: np.ndarray) -> np.ndarray:
    """A number for each triangle, whichever corner comes first and whichever way it turns."""
    a, b, c = np.sort(triangles.astype(np.int64), 1).T
    return (a << 42) | (b << 21) | c


def _spread(meshes: Sequence[Mesh]) -> list[Mesh]:
    """All meshes, SPREAD evenly spread ones first."""
    first = np.unique(np.linspace(0, len(meshes) - 1, SPREAD).round().astype(int))
    rest = np.setdiff1d(np.arange(len(meshes)), first)
    return [meshes[i] for i in (*first.tolist(), *rest.tolist())]


def _padded(found: Sequence[np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows filled up with the last, so that one program serves all; and which are real."""
    rows = [*found, *[found[-1]] * (size - len(found))]
    return np.stack(rows), (np.arange(size) < len(found)).astype(np.float32)


def _rejection(mesh: Mesh, reason: str) -> dict[str, str]:
    return {**_named(mesh), "source": mesh.path, "reason": reason}


def _named(mesh: Mesh) -> dict[str, str]:
    return {name: getattr(mesh, name) for name in ("dataset", "subject", "sequence", "frame")}


def _residuals(meshes: Sequence[Mesh], out: Path) -> Iterator[dict[str, Any]]:
    for mesh in meshes:
        path = sets.fit_path(out, mesh)
        if path.exists():
            try:
                row = npz.load(path)
                off = {n: 1e3 * float(row[f"{n}_residual"]) for n in ("mean", "max")}
            except (ValueError, KeyError, OSError) as error:
                told = f"{path} is no fit ({type(error).__name__})"
                raise ValueError(f"{told}: remove it") from None
            yield {**_named(mesh), "mean_mm": round(off["mean"], 4), "max_mm": round(off["max"], 4)}


def _write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    atomic.write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def _summary(
    count: int, lines: Sequence[dict[str, Any]], rejected: Sequence[dict[str, str]]
) -> dict[str, Any]:
    off = np.array([line["mean_mm"] for line in lines] or [np.nan])
    figures = {"mean_mm": off.mean(), "p95_mm": np.percentile(off, 95), "worst_mm": off.max()}
    return {
        "meshes": count,
        "fitted": len(lines),
        "rejected": len(rejected),
        **{name: round(float(value), 4) for name, value in figures.items()},
    }


def _same_settings(
    out: Path, head: FlameModel, options: Options, weights: np.ndarray | None
) -> None:
    """Writes the settings, or raises if there are others."""
    looked = np.ones(head.num_vertices) if weights is None else np.asarray(weights, np.float64)
    known = openhead.digest({"weights": looked})
    wanted = {"head": head.identity, **dataclasses.asdict(options), "weights": known}
    path = out / "settings.json"
    if not path.exists():
        atomic.write_text(path, json.dumps(wanted, indent=1) + "\n")
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        there = None
    if there != wanted:
        raise ValueError(f"{out} holds fits of another head or with other settings; give a new one")

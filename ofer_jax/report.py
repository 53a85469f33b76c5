"""The files of one reconstruction: `result.npz`, `result.json`, `meshes/`, `sheet.png`.

`result.json`, schema 1 (metres, radians as axis-angle, pixels with centres at integers and y down):

| key | value |
| --- | --- |
| schema | 1 |
| photo | name, width, height as read, sha256 of the upright pixels |
| notes | list of sentences: several faces, small face, hidden face, picture reduced |
| head | name, sha256 and release of the parametric head |
| bundle | sha256 of the network parameters |
| mode | 'paper' or 'official_demo' for imported published networks, else empty |
| seed, command | what made it |
| face | box [x0, y0, x1, y1], score, presence, number (0: nearest the centre), keypoints [6][2] |
| shapes | K of {rank, score, coefficients [300]}, best first |
| mean_shape | coefficients [300] of the mean of these K: the point estimate |
| expressions | M of {coefficients [100], jaw [3]}, as drawn |
| expression | which of them fits the photograph best |
| pose | global_rotation [3], camera [s, tx, ty], error (mean distance of the points, px) |
| landmarks | points [68][3] of the posed head, pixels [68][2] |
| spread_mm | median and 95th percentile over the face of the shapes' distance from their mean |
| files | what else lies in the folder |

A vertex (X, Y, Z) posed by the best shape, that expression and `global_rotation` is seen at
x = s X + tx, y = -s Y + ty.

`result.npz` (float32 unless said): shapes [K, 300], scores [K], mean_shape [300], expressions
[M, 100], jaws [M, 3], expression (int), vertices [V, 3] (best shape, neutral), mean_vertices
[V, 3] (mean shape, neutral), posed_vertices [V, 3], triangles [F, 3] (int32), global_rotation [3],
camera [3], landmarks [68, 3], landmarks_px [68, 2], spread [V], box [4], points [468, 3], and head,
head_sha256, head_release, bundle, mode, photo_sha256 (text), seed, schema (int).

`meshes/`: `identity-1` (the best shape, neutral) to `identity-5`, `mean` (the mean shape, neutral),
`expression-01` ... (the best shape with each expression, head upright), in each format asked for.

All is written into a temporary folder first; then each file is moved into its place, `result.json`
last, so a folder with that file is whole.
"""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax import meshes, sheet
from ofer_jax.reconstruct import Reconstruction

SCHEMA = 1
IDENTITIES = 5
_OURS = ("meshes/identity-", "meshes/mean.", "meshes/expression-")


def write(
    result: Reconstruction,
    folder: str | Path,
    surface: Mapping[str, np.ndarray],
    *,
    formats: Sequence[str] = meshes.FORMATS,
    command: str = "",
) -> Path:
    """Writes everything about one face into `folder` (made if missing), replacing an older result.

    Args:
        result: of one face.
        folder: its own folder; other files in it are left alone.
        surface: as `openhead.surface()`.
        formats: of the meshes, from `meshes.FORMATS`; none writes none.
        command: recorded in `result.json`.

    Returns:
        The folder.

    Raises:
        OSError: it cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    old = _old_files(folder)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as temporary:
        part = Path(temporary)
        with ThreadPoolExecutor(1) as beside:  # while the sheet is drawn, mostly by NumPy
            written = beside.submit(_write_meshes, result, part / "meshes", surface, formats)
            # Level 3: a tenth larger than level 6, and done in half the time.
            sheet.compose(result, surface).save(part / "sheet.png", compress_level=3)
            (part / "result.npz").write_bytes(_npz(result))
            written.result()
        files = sorted(p.relative_to(part).as_posix() for p in part.rglob("*") if p.is_file())
        record = describe(result, surface, files, command)
        (part / "result.json").write_text(_json(record), encoding="utf-8")
        (folder / "meshes").mkdir(exist_ok=True)
        (folder / "result.json").unlink(missing_ok=True)
        for name in [*files, "result.json"]:
            os.replace(part / name, folder / name)
    for name in old - set(files):
        (folder / name).unlink(missing_ok=True)
    return folder


def describe(
    result: Reconstruction,
    surface: Mapping[str, np.ndarray],
    files: Sequence[str] = (),
    command: str = "",
) -> dict[str, Any]:
    """What `result.json` holds; see the top."""
    height, width = result.photo.image.shape[:2]
    face, spread = result.face, result.spread[surface["region_face"]] * 1e3
    ranked = zip(result.scores, result.shapes, strict=True)
    drawn = zip(result.expressions, result.jaws, strict=True)
    return {
        "schema": SCHEMA,
        "photo": {
            "name": result.photo.name,
            "width": width,
            "height": height,
            "sha256": result.photo.digest.hex(),
        },
        "notes": list(result.notes),
        "head": dict(result.head),
        "bundle": result.bundle,
        "mode": result.mode,
        "seed": result.seed,
        "command": command,
        "face": {
            "box": _numbers(face.box),
            "score": _numbers(face.score),
            "presence": _numbers(face.presence),
            "number": result.number,
            "keypoints": _numbers(face.keypoints),
        },
        "shapes": [
            {"rank": i + 1, "score": _numbers(score), "coefficients": _numbers(shape)}
            for i, (score, shape) in enumerate(ranked)
        ],
        "mean_shape": _numbers(result.mean_shape),
        "expressions": [{"coefficients": _numbers(e), "jaw": _numbers(j)} for e, j in drawn],
        "expression": result.expression,
        "pose": {
            "global_rotation": _numbers(result.global_rotation),
            "camera": _numbers(result.camera),
            "error": _numbers(result.camera_error),
        },
        "landmarks": {
            "points": _numbers(result.landmarks),
            "pixels": _numbers(result.landmarks_px),
        },
        "spread_mm": {
            "median": _numbers(np.median(spread)),
            "p95": _numbers(np.percentile(spread, 95)),
        },
        "files": list(files),
    }


def _write_meshes(
    result: Reconstruction, folder: Path, surface: Mapping[str, np.ndarray], formats: Sequence[str]
) -> None:
    folder.mkdir()
    colors = meshes.colors(surface, result.triangles, result.vertices[0])
    named = [(f"identity-{i + 1}", v) for i, v in enumerate(result.vertices[:IDENTITIES])]
    named += [("mean", result.mean_vertices)]
    named += [(f"expression-{i + 1:02d}", v) for i, v in enumerate(result.expression_vertices)]
    for name, vertices in named:
        for kind in formats:
            meshes.write(folder / f"{name}.{kind}", vertices, result.triangles, colors)


def _npz(result: Reconstruction) -> bytes:
    names = ("shapes", "scores", "mean_shape", "mean_vertices", "expressions", "jaws", "expression")
    names += ("posed_vertices", "triangles", "global_rotation", "camera", "landmarks")
    names += ("landmarks_px", "spread")
    arrays = {name: np.asarray(getattr(result, name)) for name in names}
    arrays |= {
        "vertices": result.vertices[0],
        "box": np.asarray(result.face.box, np.float32),
        "points": np.asarray(result.face.points, np.float32),
        "head": np.array(result.head["name"]),
        "head_sha256": np.array(result.head["sha256"]),
        "head_release": np.array(result.head["release"]),
        "bundle": np.array(result.bundle),
        "mode": np.array(result.mode),
        "photo_sha256": np.array(result.photo.digest.hex()),
        "seed": np.array(result.seed),
        "schema": np.array(SCHEMA),
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _old_files(folder: Path) -> set[str]:
    """What an earlier result wrote here, by its own list, as far as the names are ours."""
    try:
        listed = json.loads((folder / "result.json").read_text(encoding="utf-8"))["files"]
        ours = {n for n in listed if n.startswith(_OURS)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()
    return {name for name in ours if ".." not in name and name.count("/") == 1}


def _json(record: Mapping[str, Any]) -> str:
    """One line for each key: readable, and a tenth of the time of an indented dump."""
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _numbers(values: Any) -> Any:
    """Numbers as JSON holds them, rounded to six significant digits (float32 has seven)."""
    if np.ndim(values):
        return [_numbers(value) for value in values]
    return float(f"{float(values):.6g}")


def unused_folder(root: Path, stem: str, taken: set[Path]) -> Path:
    """`root/stem`, or with -2, -3 ... where another photograph of this run has that name."""
    stem = stem.strip(". ") or "photo"
    path, number = root / stem, 2
    while path in taken:
        path, number = root / f"{stem}-{number}", number + 1
    taken.add(path)
    return path


def check_writable(root: str | Path) -> None:
    """Makes the output folder and tries to write in it, before any work is done.

    Raises:
        ValueError: one line.
    """
    root = Path(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(tempfile.mkdtemp(prefix=".part-", dir=root))
    except OSError as error:
        raise ValueError(
            f"{root}: the output folder cannot be written ({error.strerror})"
        ) from None

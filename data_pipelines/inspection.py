"""What a look at a data set shows: figures as text, and a sheet of examples drawn at random.

A row of the sheet is one picture: with its 68 landmarks; with the mesh of its coefficients over it;
hidden by its own occluder, or by one that the augmentation draws, with the mask outlined; and, of a
`faces` set, ArcFace's crop with the five points as `to_112` maps them.

The mesh of a drawn picture is posed and seen as its record says. For a photograph, rotation and
weak-perspective camera are fitted to the landmarks; what is then off by more than a few pixels has
the wrong coefficients, the wrong landmarks, or somebody else's face.
"""

import collections
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data_pipelines import augment, data_card, finished, pairs, stored
from data_pipelines import input as pipeline
from ofer_jax import camera, flame, render
from ofer_jax.faces import align

BARS = " ▁▂▃▄▅▆▇█"
PASSES = ("open", "crops", "arcface", "farl")
LOOKED_AT = 400  # records that the histograms are of
GREEN, RED = (0, 255, 0), (255, 0, 0)
_CONTOUR = 0.2  # weight of a point of the jaw line, which slides along a turned head
_OPACITY = 0.75

Pair = Mapping[str, Any]


def sample(directory: str | os.PathLike, split: str, seed: int) -> list[dict[str, Any]]:
    """Some pairs of a split, at most LOOKED_AT, drawn at random, in random order.

    Raises:
      ValueError: no data set there, or no such split.
    """
    stored.check_split(directory, split)
    source = pairs.open_split(directory, split)
    rows = np.random.default_rng(seed).permutation(len(source))[:LOOKED_AT]
    return [source[int(row)] for row in rows]


# ---------------------------------------------------------------- figures


def report(directory: str | os.PathLike, found: Sequence[Pair]) -> str:
    """Lines on the data set: what its card says, what was left out and why, and how the values of
    the pairs `found` are spread."""
    card = data_card.read(directory)
    name = card.get("dataset", card["name"])
    lines = [f"{name} {card['version']}, head {flame.title(card['head'])}, {card['licence']}"]
    lines += [f"{card['counts']}, content hash {card['content_hash']}"]
    lines += _left_out(pathlib.Path(directory))
    lines += [f"of {len(found)} records:", *_tallies(found)]
    lines += [histogram(name, *values) for name, values in _values(found).items()]
    return "\n".join(lines)


def _left_out(directory: pathlib.Path) -> Iterator[str]:
    """Rejected pictures by reason, of the build and of each pass."""
    path = directory / "rejected.jsonl"
    if path.is_file():
        text = path.read_text(encoding="utf-8").splitlines()
        reasons = collections.Counter(json.loads(line)["reason"] for line in text if line)
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        yield f"rejected when built: {reasons.total()}" + (f" ({why})" if why else "")
    for name in PASSES:
        metas = {}
        for split in data_card.SPLITS:
            if (pipeline.folder(directory, split, name) / "meta.json").is_file():
                metas[f"{name} {split}"] = pipeline.read_meta(directory, split, name)
        if metas:
            yield finished.summary(metas)


def _tallies(found: Sequence[Pair]) -> Iterator[str]:
    """How often each data set and each kind of occluder appears, and pictures a subject."""
    for name in ("dataset", "occluder"):
        if name in found[0]:
            counts = collections.Counter(str(pair[name]) for pair in found)
            yield f"{name}: " + ", ".join(
                f"{count} {value}" for value, count in counts.most_common()
            )
    if "has_expression" in found[0]:
        known = sum(bool(pair["has_expression"]) for pair in found)
        yield f"{known} with expressions, {len({int(pair['subject']) for pair in found})} subjects"


def _values(found: Sequence[Pair]) -> dict[str, tuple[np.ndarray, str]]:
    """What there are histograms of: values and unit, by name."""
    turns = 180 / np.pi * np.array([pair["global_rotation"] for pair in found])
    values = {name: (turns[:, i], "deg") for i, name in enumerate(("pitch", "yaw", "roll"))}
    for name in ("shape", "expression"):
        rows = np.array([pair[name] for pair in found])
        values[f"{name} 1"], values[f"{name} 2"] = (rows[:, 0], ""), (rows[:, 1], "")
        values[f"{name} rms"] = (np.sqrt(np.mean(rows**2, axis=1)), "")
    values["jaw"] = (180 / np.pi * np.array([pair["jaw"][0] for pair in found]), "deg")
    if "score" in found[0]:
        values["score"] = (np.array([pair["score"] for pair in found]), "")
    if "mask" in found[0]:
        values["occluded"] = (
            np.array([100 * pair["mask"].mean() for pair in found]),
            "% of pixels",
        )
    return values


def histogram(name: str, values: np.ndarray, unit: str) -> str:
    """One line: smallest, bars, largest, mean."""
    if not np.isfinite(values).all():
        return f"{name:>14} not finite in {np.sum(~np.isfinite(values))} records"
    if np.ptp(values) == 0:
        return f"{name:>14} {values[0]:8.2f} in all"
    counts, edges = np.histogram(values, bins=24)
    bars = "".join(BARS[int(np.ceil(8 * count / counts.max()))] for count in counts)
    told = f"{unit}, " if unit else ""
    return f"{name:>14} {edges[0]:8.2f} |{bars}| {edges[-1]:8.2f} {told}mean {values.mean():.2f}"


# ---------------------------------------------------------------- the sheet


def head_of(
    directory: str | os.PathLike, heads: Sequence[flame.FlameModel]
) -> flame.FlameModel | None:
    """The one of `heads` that the coefficients belong to, None if it is not among them."""
    wanted = data_card.read(directory)["head"]["sha256"]
    return next((head for head in heads if head.sha256 == wanted), None)


def sheet(
    found: Sequence[Pair], head: flame.FlameModel | None, seed: int, columns: int = 2
) -> np.ndarray:
    """The contact sheet of some pairs, uint8 RGB; without a head it has no meshes."""
    meshes = _meshes(found, head) if head is not None else [None] * len(found)
    rows = [_row(pair, mesh, head, seed) for pair, mesh in zip(found, meshes, strict=True)]
    return render.tile(rows, min(columns, len(rows)))


def _row(pair: Pair, mesh: Any, head: flame.FlameModel | None, seed: int) -> np.ndarray:
    tiles = [dotted(pair["image"], pair["landmarks"])]
    if mesh is not None and head is not None:
        vertices, seen = mesh
        drawn, cover = render.shade(vertices, np.asarray(head.faces), seen, (224, 224))
        tiles.append(render.over(pair["image"], drawn, cover, _OPACITY))
    tiles.append(_hidden(pair, seed))
    if "crop_112" in pair:
        five = align.apply(pair["to_112"].astype(float), pair["five"].astype(float))
        small = dotted(pair["crop_112"], five)
        tiles.append(render.fit_tile(small, 224, 112))
    return np.concatenate(tiles, axis=1)


def dotted(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The picture with green dots of 2 x 2 pixels at the points that lie in it."""
    out = picture.copy()
    for step in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = np.rint(points[np.isfinite(points).all(axis=1)] + step).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < out.shape[1]) & (y < out.shape[0])
        out[y[inside], x[inside]] = GREEN
    return out


def _hidden(pair: Pair, seed: int) -> np.ndarray:
    """The occluded picture, with the outline of what hides the face where it has one."""
    if "occluded" in pair:
        picture, mask, kind = pair["occluded"], pair["mask"], pair["occluder"]
    else:
        settings, numbers = augment.Settings(share=1.0), augment.rng(seed, pair["number"])
        picture, mask, kind = augment.occlude(numbers, pair["image"], pair["landmarks"], settings)
    if kind in ("dark", "blur"):  # all over the face, with holes where nothing could change
        return picture
    picture, mask = picture.copy(), mask.copy()
    inner = mask[1:-1, 1:-1] & mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 2:] & mask[1:-1, :-2]
    mask[1:-1, 1:-1] &= ~inner
    picture[mask] = RED
    return picture


def _meshes(found: Sequence[Pair], head: flame.FlameModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """Posed vertices [V, 3] (metres) and camera [3] of each pair."""
    names = ("shape", "expression", "jaw", "neck", "eyes", "global_rotation")
    sizes = {"shape": head.num_shape, "expression": head.num_expression}
    own = {n: np.array([pair[n][: sizes.get(n)] for pair in found], np.float32) for n in names}
    if "camera" in found[0]:
        posed = np.asarray(flame.vertices(head, **own))
        return [(v, pair["camera"]) for v, pair in zip(posed, found, strict=True)]
    own.pop("global_rotation")
    still = flame.vertices(head, **own)
    points = np.asarray(flame.landmarks(head, still))
    shaped = flame.vertices(head, shape=own["shape"], expression=own["expression"])
    roots = np.asarray(flame.joints(head, shaped))[:, 0]
    weights = np.ones(68, np.float32)
    weights[:17] = _CONTOUR
    fits = [
        camera.fit(p, np.asarray(pair["landmarks"], np.float32), weights, root)
        for p, pair, root in zip(points, found, roots, strict=True)
    ]
    own["global_rotation"] = np.stack([fit.global_rotation for fit in fits])
    posed = np.asarray(flame.vertices(head, **own))
    return [(v, np.asarray(fit.camera)) for v, fit in zip(posed, fits, strict=True)]

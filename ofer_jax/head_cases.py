"""The best and the worst held-out heads as pictures: what was seen, the truth, and the answers.

Heads are ordered by the error of the ranked sample / that of the mean face. Pictures of a head
share one camera, and vertices are those of neutral heads; the error's colours are the distances to
the true head after a rigid alignment over the face.
"""

import base64
import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from ofer_jax import evaluate, flame, metrics, portrait, render
from ofer_jax.arrays import Float, Int, UInt8
from ofer_jax.bundle import Bundle
from ofer_jax.flame import FlameModel
from ofer_jax.metrics import Figures
from ofer_jax.tasks.common import example_keys

SIDE = 256  # of a picture, pixels
ROWS = ("mean face", "ranked", "mean of the samples", "oracle")  # whose error is told
_YAW = -0.35
Picture = UInt8[np.ndarray, "H W 3"]


class Case(NamedTuple):
    """A picture of the split: its row, 'clean' or 'occluded', and its figures."""

    row: int
    side: str
    ratio: float
    mm: dict[str, float]


def choose(
    figures: Mapping[str, Figures], subject: Int[np.ndarray, "N"], count: int
) -> dict[str, list[Case]]:
    """{'best': cases, 'worst': cases}: up to `count` each, the most extreme first.

    No head is in twice: of its pictures the one that fits the group best is taken, and with few
    heads the groups share them out.
    """
    every = [
        Case(row, side, float(values["ranked"][row] / values["mean face"][row]), _mm(values, row))
        for side, values in figures.items()
        for row in range(len(subject))
    ]
    every.sort(key=lambda case: case.ratio)
    each = min(count, len(np.unique(subject)) // 2)
    taken: set[int] = set()
    return {
        name: _first(order, subject, each, taken)
        for name, order in (("best", every), ("worst", every[::-1]))
    }


def _mm(values: Figures, row: int) -> dict[str, float]:
    return {name: 1e3 * float(values[name][row]) for name in ROWS}


def _first(
    order: Sequence[Case], subject: Int[np.ndarray, "N"], count: int, taken: set[int]
) -> list[Case]:
    found: list[Case] = []
    for case in order:
        head = int(subject[case.row])
        if len(found) < count and head not in taken:
            taken.add(head)
            found.append(case)
    return found


class Shapes(NamedTuple):
    """Coefficients of the heads that are drawn of a case."""

    truth: Float[np.ndarray, "S"]
    ranked: Float[np.ndarray, "S"]
    mean: Float[np.ndarray, "S"]
    oracle: Float[np.ndarray, "S"]


def again(
    bundle: Bundle,
    model: FlameModel,
    regions: Mapping[str, Int[np.ndarray, "R"]],
    arrays: Mapping[str, Any],
    cases: Sequence[Case],
    *,
    samples: int,
    seed: int,
    batch: int,
) -> list[Shapes]:
    """The shapes of each case: its samples drawn again, by the keys that `evaluate` draws by."""
    draw = evaluate.sampler(bundle, model, regions, samples, 1)
    key, out = jax.random.key(seed), []
    for start in range(0, len(cases), batch):
        some = [cases[i % len(cases)] for i in range(start, start + batch)]  # one compiled shape
        rows = np.array([case.row for case in some])
        keys = example_keys(key, jnp.asarray(rows))
        drawn = jax.device_get(draw(seen(arrays, some), keys))
        truth = np.asarray(arrays["shape"][rows], np.float32)
        for i in range(min(batch, len(cases) - start)):
            ranked = int(np.argmax(drawn["scores"][i]))
            shapes = drawn["shapes"][i]
            errors = _errors(model, regions["region_face"], shapes, truth[i])
            best = shapes[int(np.argmin(errors))]
            out.append(Shapes(truth[i], shapes[ranked], shapes.mean(0), best))
    return out


def seen(arrays: Mapping[str, Any], cases: Sequence[Case]) -> Any:
    """The features of cases, from an array or from each of several; read a row at a time, as those
    that are no arrays in memory allow."""
    each = [
        jax.tree.map(lambda a, r=case.row: a[np.array([r])], arrays[f"features_{case.side}"])
        for case in cases
    ]
    return jax.tree.map(lambda *rows: jnp.concatenate(rows), *each)


def _errors(
    model: FlameModel,
    face: Int[np.ndarray, "R"],
    shapes: Float[np.ndarray, "K S"],
    truth: Float[np.ndarray, "S"],
) -> Float[np.ndarray, "K"]:
    samples, target = (neutral(model, each)[..., face, :] for each in (shapes, truth))
    repeated = jnp.asarray(np.broadcast_to(target, samples.shape))
    return np.asarray(metrics.vertex_error(jnp.asarray(samples), repeated))


def neutral(model: FlameModel, shape: Float[np.ndarray, "*B S"]) -> Float[np.ndarray, "*B V 3"]:
    """Vertices of heads that no joint turns, metres."""
    return np.asarray(flame.vertices_over(model, shape=jnp.asarray(shape)))


def distances(
    model: FlameModel, face: Int[np.ndarray, "R"], shapes: Shapes
) -> Float[np.ndarray, "R"]:
    """Of the ranked sample's face to the true one, aligned rigidly; mm at each vertex."""
    ranked, truth = (neutral(model, each)[face] for each in (shapes.ranked, shapes.truth))
    aligned = metrics.rigid_align(jnp.asarray(ranked), jnp.asarray(truth))
    return 1e3 * np.linalg.norm(np.asarray(aligned) - truth, axis=-1)


# ---------------------------------------------------------------- pictures


def run(
    bundle: Bundle,
    model: FlameModel,
    surface: Mapping[str, np.ndarray],
    arrays: Mapping[str, Any],
    figures: Mapping[str, Figures],
    look: Callable[[set[int]], Mapping[int, Mapping[str, Picture]]],
    *,
    count: int,
    samples: int,
    seed: int,
    batch: int,
) -> dict[str, Any]:
    """The best and worst cases as plain JSON: {'scale_mm', 'best': [...], 'worst': [...]}; each
    {'row', 'subject', 'side', 'occluder', 'ratio', 'mm', 'pictures': {name: WebP in base64}}.

    Args:
      bundle, model, surface, arrays, samples, seed, batch: those of `evaluate.evaluate`.
      figures: what it returned.
      look: rows to their pictures, {row: {'clean', 'occluded'}}.
      count: how many of each at most.
    """
    subject = np.asarray(arrays["subject"])
    groups = choose(figures, subject, count)
    cases = [case for found in groups.values() for case in found]
    if not cases:
        return {"scale_mm": 1.0, **groups}
    sizes = {"samples": samples, "seed": seed, "batch": batch}
    shapes = again(bundle, model, surface, arrays, cases, **sizes)
    off = [distances(model, surface["region_face"], each) for each in shapes]
    top = max(0.5, float(np.ceil(2 * np.percentile(np.concatenate(off), 98)) / 2))
    pictures = look({case.row for case in cases})

    def told(each: tuple[Case, Shapes, np.ndarray]) -> dict[str, Any]:
        case, heads, error = each
        drawn = {"seen": Image.fromarray(pictures[case.row][case.side])}
        drawn |= tiles(model, surface, heads, error, top)
        occluder = str(arrays["occluder"][case.row]) if "occluder" in arrays else ""
        about = {"subject": int(subject[case.row]), "occluder": occluder}
        return case._asdict() | about | {"pictures": {n: _webp(p) for n, p in drawn.items()}}

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        done = iter(list(pool.map(told, zip(cases, shapes, off, strict=True))))
    return {"scale_mm": top} | {n: [next(done) for _ in found] for n, found in groups.items()}


def tiles(
    model: FlameModel,
    surface: Mapping[str, np.ndarray],
    shapes: Shapes,
    error: Float[np.ndarray, "R"],
    top: float,
) -> dict[str, Image.Image]:
    """The heads of a case, turned a little, on nothing; and the ranked one coloured by its error
    (mm, `top` is the end of the colours)."""
    triangles, face = np.asarray(model.faces), surface["region_face"]
    named = {
        "truth": shapes.truth,
        "ranked": shapes.ranked,
        "mean of the samples": shapes.mean,
        "oracle": shapes.oracle,
    }
    heads = {name: neutral(model, shape) for name, shape in named.items()}
    camera = portrait.camera(portrait.turned(heads["truth"], _YAW), face, (SIDE, SIDE))
    skin = portrait.colors(surface, triangles, heads["truth"])
    heat = np.tile(np.array(render.CLAY, np.float32), (len(skin), 1))
    heat[face] = render.colormap(error, "heat", low=0.0, high=top)
    shown = {name: (vertices, skin) for name, vertices in heads.items()}
    shown["error"] = (heads["ranked"], heat)
    return {
        name: _draw(portrait.turned(vertices, _YAW), triangles, camera, colors)
        for name, (vertices, colors) in shown.items()
    }


def _draw(
    view: Float[np.ndarray, "V 3"],
    triangles: Int[np.ndarray, "F 3"],
    camera: portrait.Camera,
    colors: Float[np.ndarray, "V 3"],
) -> Image.Image:
    """A head on nothing: RGBA, so that it stands on a light page and on a dark one."""
    drawn, coverage = render.shade(view, triangles, camera, (SIDE, SIDE), colors=colors)
    plain = drawn / np.maximum(coverage, 1e-3)[..., None]
    whole = np.concatenate([plain, 255 * coverage[..., None]], axis=-1)
    return Image.fromarray(np.rint(np.clip(whole, 0, 255)).astype(np.uint8), "RGBA")


def _webp(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", quality=84, method=4)
    return base64.b64encode(stream.getvalue()).decode()

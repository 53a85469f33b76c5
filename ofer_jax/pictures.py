"""What a run has learnt so far, drawn: a row for each of a few held-out pictures.

| task   | beside the truth, a row shows                                    |
| ------ | ---------------------------------------------------------------- |
| idgen  | neutral heads of drawn shapes                                    |
| expgen | the true head with drawn expressions and jaws                    |
| idrank | the neutral heads of the best and of the worst ranked candidates |

Where the networks look at crops, a row begins with the crop. Below each head stands its face's
error: the mean distance of the vertices (mm) after a rigid alignment, as in `evaluate`. Pictures
and noise are the same at every call, so that calls differ by the params alone.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ofer_jax import flame, metrics, portrait, sharding, train
from ofer_jax.arrays import Array, Float, Int, UInt8
from ofer_jax.flame import FlameModel
from ofer_jax.tasks import common, expgen, idgen, idrank
from ofer_jax.tasks.common import Config, Params

ROWS, HEADS = 4, 6
# Averaged params -> picture; None on every process but the first.
Illustrate = Callable[[Any], UInt8[np.ndarray, "H W 3"] | None]

SIZE = (132, 153)  # of a card: width, height
GAP, MARGIN, LINE = 8, 16, 24
_NEUTRAL, _FACE = (-0.4, 1.0), (-0.15, 0.35)  # yaw in radians; share shown of the head above
FAR = 0.1  # metres from the true head: networks gone astray are told of, not drawn


def make(
    config: Any,
    head: FlameModel,
    surface: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
    arrays: Mapping[str, Any],
) -> Illustrate:
    """The function that draws what params give. All processes are to call it, for params may be
    spread over them.

    Args:
      config: of the run.
      head: of the run.
      surface: of the head; its region that the task asks for is framed, and measured.
      constants: of the task.
      arrays: held-out examples as for `train.make_evaluator`; ROWS of them are shown.
    """
    task, model = config.task, config.model.to_dict()
    region = surface[train.TASKS[task].region(model)]
    batch = _chosen(arrays, config.input.get("num_candidates", 0))
    everywhere = sharding.replicated(sharding.mesh_of(config.mesh))
    given = sharding.put_global((head, dict(constants), region, batch), everywhere)
    options = train.quick()
    run = jax.jit(partial(draw, task, model), out_shardings=everywhere, compiler_options=options)

    def illustrate(params: Any) -> UInt8[np.ndarray, "H W 3"] | None:
        drawn = jax.device_get(run(params, *given))
        if jax.process_index() != 0:
            return None
        titles = _titles(task, batch)
        rows = [
            _row(head, surface, region, _FACE if task == "expgen" else _NEUTRAL, *each)
            for each in zip(*drawn, strict=True)
        ]
        if config.model.features.name == "crops":
            titles = ["picture", *titles]
            crops = batch["features"]["crop_112"]
            rows = [[(_crop(c), ""), *row] for c, row in zip(crops, rows, strict=True)]
        return _page(titles, rows)

    return illustrate


def _chosen(arrays: Mapping[str, Any], candidates: int) -> dict[str, Any]:
    """Examples from all over `arrays`, of both kinds where these alternate."""
    count = len(arrays["index"])
    size = min(ROWS, count)
    places = [min(i * count // size // 2 * 2 + i % 2, count - 1) for i in range(size)]

    def some(array: Any) -> np.ndarray:
        return np.concatenate([np.asarray(array[place : place + 1]) for place in places])

    batch = jax.tree.map(some, dict(arrays))
    if "candidates" in batch:
        batch["candidates"] = batch["candidates"][:, : candidates or None].astype(np.float32)
    return batch


# ---------------------------------------------------------------- heads


class Drawn(NamedTuple):
    """Of each picture: the true neutral head, the true one and what is shown beside it (metres),
    and the errors of these (mm)."""

    neutral: Float[Array, "B V 3"]
    heads: Float[Array, "B H V 3"]
    errors: Float[Array, "B H"]


def draw(
    task: str,
    config: Config,
    params: Params,
    head: FlameModel,
    constants: dict[str, Array],
    region: Int[Array, "R"],
    batch: Mapping[str, Any],
) -> Drawn:
    keys = common.example_keys(jax.random.key(0), batch["index"])
    truth, features = batch["shape"][:, None], batch["features"]
    neutral = flame.vertices_over(head, shape=truth)
    first = neutral
    if task == "expgen":
        expression, jaw = expgen.sample(config, params, features, keys, HEADS)
        shape = jnp.repeat(truth, HEADS, axis=1)
        posed = {name: batch[name][:, None] for name in ("expression", "jaw")}
        first = flame.vertices_over(head, shape=truth, **posed)
        others = flame.vertices_over(head, shape=shape, expression=expression, jaw=jaw)
    elif task == "idgen":
        drawn = idgen.sample(config, params, features, keys, HEADS)
        others = flame.vertices_over(head, shape=drawn)
    else:
        candidates = batch["candidates"]
        scores = idrank.scores(config, params, constants, candidates, features)
        order = jnp.argsort(-scores, axis=1)[:, np.array(_ranks(candidates.shape[1]))]
        shown = jnp.take_along_axis(candidates, order[..., None], axis=1)
        others = flame.vertices_over(head, shape=shown)
    heads = jnp.concatenate([first, others], axis=1)
    return Drawn(neutral[:, 0], heads, face_errors(heads, region))


def _ranks(count: int) -> list[int]:
    """Which of `count` ranked candidates are shown, from 0."""
    ranks = list(range(count))
    return ranks if count <= HEADS else ranks[: HEADS // 2] + ranks[-(HEADS // 2) :]


def face_errors(heads: Float[Array, "B H V 3"], region: Int[Array, "R"]) -> Float[Array, "B H"]:
    """Of each face (mm) from the first of its row; infinite for a head that is `FAR` off."""
    off = jnp.max(jnp.linalg.norm(heads - heads[:, :1], axis=-1), axis=-1)
    sane = off < FAR  # not so for NaN either
    faces = heads[:, :, region]
    truth = jnp.broadcast_to(faces[:, :1], faces.shape)
    errors = metrics.vertex_error(jnp.where(sane[..., None, None], faces, truth), truth)
    return jnp.where(sane, 1e3 * errors, jnp.inf)


# ---------------------------------------------------------------- the page


def _row(
    head: FlameModel,
    surface: Mapping[str, np.ndarray],
    region: Int[np.ndarray, "R"],
    view: tuple[float, float],
    neutral: Float[np.ndarray, "V 3"],
    found: Float[np.ndarray, "H V 3"],
    errors: Float[np.ndarray, "H"],
) -> list[tuple[Image.Image, str]]:
    """Cards and captions of a row, the truth first, in one camera: that of the true neutral head;
    `view`: its yaw, and how much of the head above the face is shown."""
    triangles, (yaw, crown) = np.asarray(head.faces), view
    colors = portrait.colors(surface, triangles, neutral)
    camera = portrait.camera(portrait.turned(neutral, yaw), region, SIZE, crown)
    row = []
    for number, (each, error) in enumerate(zip(found, errors, strict=True)):
        if not np.isfinite(error):
            row.append((Image.fromarray(portrait.backdrop(SIZE)), "gone astray"))
            continue
        card = portrait.draw(portrait.turned(each, yaw), triangles, camera, SIZE, colors)
        row.append((card, f"{error:.2f} mm" if number else ""))
    return row


def _titles(task: str, batch: Mapping[str, Any]) -> list[str]:
    if task == "idrank":
        count = batch["candidates"].shape[1]
        return ["truth", *(f"rank {rank + 1} of {count}" for rank in _ranks(count))]
    return ["truth", *(f"sample {number + 1}" for number in range(HEADS))]


def _crop(picture: UInt8[np.ndarray, "112 112 3"]) -> Image.Image:
    """The crop in the middle of a card."""
    card = Image.fromarray(portrait.backdrop(SIZE))
    crop = Image.fromarray(picture).resize((SIZE[0], SIZE[0]), Image.Resampling.LANCZOS)
    card.paste(crop, (0, (SIZE[1] - SIZE[0]) // 2))
    return card


def _page(
    titles: Sequence[str], rows: Sequence[Sequence[tuple[Image.Image, str]]]
) -> UInt8[np.ndarray, "H W 3"]:
    """Titles above the columns, captions below the cards."""
    width, height = SIZE[0] + GAP, SIZE[1] + LINE
    size = (2 * MARGIN + len(titles) * width - GAP, 2 * MARGIN + LINE + len(rows) * height)
    page = Image.new("RGB", size, portrait.PAGE)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(14)
    for column, title in enumerate(titles):
        pen.text((MARGIN + column * width, MARGIN), title, portrait.INK, font)
    for number, row in enumerate(rows):
        top = MARGIN + LINE + number * height
        for column, (card, caption) in enumerate(row):
            left = MARGIN + column * width
            page.paste(card, (left, top))
            pen.text((left, top + SIZE[1] + 2), caption, portrait.SOFT, font)
    return np.asarray(page)

"""IdRank: scores IdGen's candidates for a photograph; the highest score is the pick.

The ranker sees, for each candidate, the mean of the candidates' front-face vertices and the
candidate's difference from it, in millimetres, and a context of its own encoder. Target:
softmax over the candidates of -(mean absolute vertex error in mm) / temperature; loss: listwise
cross-entropy (Cao et al. 2007, as in the paper).

Candidates are drawn from a frozen IdGen once, before training, into a pool (`draw_candidates`).

Params: {'encoder', 'net'}.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax import losses
from ofer_jax.arrays import Array, Float, Key
from ofer_jax.flame import FlameModel
from ofer_jax.models import Ranker
from ofer_jax.tasks import common, conditioning, idgen
from ofer_jax.tasks.common import Config, Params
from ofer_jax.tasks.conditioning import Features

REGION = "region_front"  # of the head's surface, for `constants`
BEST = {"loss": ("encoder", "net")}


def constants(config: Config, model: FlameModel, region: np.ndarray) -> dict[str, np.ndarray]:
    """The front of the head as the ranker sees it, every `vertex_stride`-th vertex of `region`
    (for the open head: surface()['region_front']). With `rigid_free`, what a rigid motion of the
    head could make is taken out, so that only its form is scored, as the evaluation measures it.

    Returns float32, mm: 'template' [R, 3], 'directions' [R, 3, S].
    """
    region = np.asarray(region)[:: config["vertex_stride"]]
    template, directions = np.asarray(model.v_template)[region], np.asarray(model.shapedirs)[region]
    if config["rigid_free"]:
        directions = common.rigid_free(template, directions)
    return {
        "template": 1e3 * template.astype(np.float32),
        "directions": 1e3 * directions.astype(np.float32),
    }


def vertices(constants: dict[str, Array], shapes: Float[Array, "B K S"]) -> Float[Array, "B K R 3"]:
    """Neutral front-face vertices (mm) of shape coefficients; S may be less than the head's."""
    directions = constants["directions"][..., : shapes.shape[-1]]
    moved = jnp.einsum("bks,rcs->bkrc", shapes, directions)
    return moved + constants["template"][None, None]


def init(config: Config, key: Key[Array, ""], constants: dict[str, np.ndarray]) -> Params:
    """Fresh params."""
    k_encoder, k_net = jax.random.split(key)
    points = jnp.zeros((1, 2, *constants["template"].shape))
    context = jnp.zeros((1, config["context_dim"]))
    return {
        "encoder": conditioning.init(config, k_encoder),
        "net": Ranker.from_config(config["net"]).init(k_net, points, context)["params"],
    }


def frozen(config: Config) -> tuple[str, ...]:
    """As `idgen.frozen`."""
    return conditioning.frozen(config)


def scores(
    config: Config,
    params: Params,
    constants: dict[str, Array],
    shapes: Float[Array, "B K S"],
    features: Features,
) -> Float[Array, "B K"]:
    """Score of each candidate shape; higher is better. Jit it in the caller.

    Args:
      config: the task's config, as the bundle holds it.
      params: of IdRank.
      constants: `idrank.constants(config, model, surface()['region_front'])`, made once.
      shapes: candidates' shape coefficients, any K.
      features: of the pictures, frozen features or crops.
    """
    context = conditioning.encode(config, params["encoder"], features)
    return _scores(config, params, constants, shapes, context)


def _scores(
    config: Config,
    params: Params,
    constants: dict[str, Array],
    shapes: Float[Array, "B K S"],
    context: Float[Array, "B C"],
) -> Float[Array, "B K"]:
    points = vertices(constants, shapes)
    if config["relative"]:
        points = (points - constants["template"][None, None]) * config["vertex_scale"]
    return Ranker.from_config(config["net"]).apply({"params": params["net"]}, points, context)


def loss_fn(
    config: Config,
    params: Params,
    constants: dict[str, Array],
    batch: dict[str, Array],
    key: Key[Array, ""],
    train: bool = True,
) -> tuple[Float[Array, ""], tuple[dict[str, Float[Array, ""]], Params]]:
    """Listwise loss, mean over the batch: features, shape [B, S], candidates [B, K, S'], index [B].
    Metrics: 'loss' and the 'recovered' share of the gap between the average and the best candidate,
    on these very errors. Arguments and result as `idgen.loss_fn`."""
    keys = common.example_keys(key, batch["index"])
    context, moved = conditioning.of_batch(config, params, batch["features"], keys, train)
    candidates = batch["candidates"].astype(jnp.float32)
    s = _scores(config, params, constants, candidates, context)
    errors = vertex_errors(constants, candidates, batch["shape"])
    loss = losses.listwise_softmax(s, errors, temperature=config["temperature"])
    return loss, ({"loss": loss, "recovered": recovered(s, errors)}, moved)


def vertex_errors(
    constants: dict[str, Array], candidates: Float[Array, "B K T"], shape: Float[Array, "B S"]
) -> Float[Array, "B K"]:
    """Mean absolute vertex error (mm, over vertices and axes) of each candidate."""
    truth = vertices(constants, shape[:, None])
    return jnp.mean(jnp.abs(vertices(constants, candidates) - truth), axis=(-2, -1))


def recovered(scores: Float[Array, "B K"], errors: Float[Array, "B K"]) -> Float[Array, ""]:
    """(average - picked) / (average - oracle), of means over the batch."""
    picked = jnp.take_along_axis(errors, jnp.argmax(scores, -1)[:, None], axis=-1)
    average, oracle = jnp.mean(errors), jnp.mean(jnp.min(errors, -1))
    return (average - jnp.mean(picked)) / (average - oracle)


def draw_candidates(
    config: Config,
    params: Params,
    features: np.ndarray | Mapping[str, np.ndarray],
    path: Path,
    key: Key[Array, ""],
    num_samples: int,
    keep: int,
    batch: int = 64,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> np.ndarray:
    """Candidates of a frozen IdGen for many pictures, cached in a file.

    Args:
      config: IdGen's config.
      params: IdGen's params.
      features: of N pictures: [N, F], or the crops (memory maps are read a batch at a time).
      path: the .npy file; used as it is when it exists with the right shape.
      key: picture n uses fold_in(key, n).
      num_samples: K.
      keep: leading shape coefficients kept (the last modes are microns).
      batch: pictures a call.
      progress: goes around the loop, for a progress bar.

    Returns:
      [N, K, keep] float16, memory-mapped.
    """
    count = conditioning.batch_size(features)
    size = (count, num_samples, keep)
    if path.exists() and np.load(path, mmap_mode="r").shape == size:
        return np.load(path, mmap_mode="r")
    part = path.with_suffix(".part.npy")
    path.parent.mkdir(parents=True, exist_ok=True)
    out = np.lib.format.open_memmap(part, "w+", np.float16, size)
    draw = jax.jit(lambda p, f, k: idgen.sample(config, p, f, k, num_samples)[..., :keep])
    for start in progress(range(0, count, batch)):
        rows = np.arange(start, start + batch) % count  # the last batch wraps around
        keys = common.example_keys(key, jnp.asarray(rows))
        stop = min(start + batch, count)
        some = jax.tree.map(lambda a, rows=rows: a[rows], features)
        out[start:stop] = np.asarray(draw(params, some, keys))[: stop - start]
    out.flush()
    os.replace(part, path)
    return np.load(path, mmap_mode="r")

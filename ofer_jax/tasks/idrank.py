"""IdRank: scores IdGen's candidates for a photograph; the highest score is the pick.

The ranker sees, for each candidate, the mean of the candidates' front-face vertices and the
candidate's difference from it, in millimetres, and a context of its own encoder. Target:
softmax over the candidates of -(mean absolute vertex error in mm) / temperature; loss: listwise
cross-entropy (Cao et al. 2007, as in the paper).

Candidates come with the batch, from a pool, or are drawn afresh in the step (`candidates`).

Params: {'encoder', 'net'}.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax import across, losses
from ofer_jax.arrays import Array, Float, Key
from ofer_jax.flame import FlameModel
from ofer_jax.models import Ranker
from ofer_jax.tasks import candidates, common, conditioning
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
    net = Ranker.from_config({**config["net"], "dtype": common.compute_dtype(config)})
    return net.apply({"params": params["net"]}, points, context)


def loss_fn(
    config: Config,
    params: Params,
    constants: dict[str, Any],
    batch: dict[str, Array],
    key: Key[Array, ""],
    train: bool = True,
) -> tuple[Float[Array, ""], tuple[dict[str, Float[Array, ""]], Params]]:
    """Listwise loss, mean over the batch: features, shape [B, S], index [B] and candidates
    [B, K, S']; without these, constants['generator'] (`candidates.Generator`) draws them afresh.
    Metrics: 'loss' and the 'recovered' share of the gap between the average and the best candidate,
    on these very errors. Arguments and result as `idgen.loss_fn`."""
    keys = common.example_keys(key, batch["index"])
    context, moved = conditioning.of_batch(config, params, batch["features"], keys, train)
    if "candidates" in batch:
        shapes = batch["candidates"].astype(jnp.float32)
    else:
        own = common.salted(keys, 11)
        shapes = candidates.draw(constants["generator"], batch["features"], own)
    s = _scores(config, params, constants, shapes, context)
    errors = vertex_errors(constants, shapes, batch["shape"])
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
    picks = jnp.take_along_axis(errors, jnp.argmax(scores, -1)[:, None], axis=-1)
    means = jnp.stack([jnp.mean(errors), jnp.mean(picks), jnp.mean(jnp.min(errors, -1))])
    average, picked, oracle = across.mean(means)
    return (average - picked) / (average - oracle)

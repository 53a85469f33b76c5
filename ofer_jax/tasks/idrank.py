"""IdRank: scores IdGen's candidates for a photograph; the highest score is the pick.

`config['choice']` says how: 'listwise', the published design, is what follows; 'nearest' scores by
the distance to an expected face (`nearest.py`).

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
from ofer_jax.tasks import candidates, common, conditioning, nearest
from ofer_jax.tasks.common import Config, Params
from ofer_jax.tasks.conditioning import Features

BEST = {"loss": ("encoder", "net")}
CHOICES = ("listwise", "nearest")


def region(config: Config) -> str:
    """The name of the region of the head's surface that `constants` takes: the published front of
    the head, or for 'nearest' the face, which the evaluation measures."""
    return "region_face" if _is_nearest(config) else "region_front"


def constants(config: Config, model: FlameModel, region: np.ndarray) -> dict[str, np.ndarray]:
    """The front of the head as the ranker sees it, every `vertex_stride`-th vertex of `region`
    (surface()[idrank.region(config)]). With `rigid_free`, what a rigid motion of the
    head could make is taken out, so that only its form is scored, as the evaluation measures it.

    Returns float32, mm: 'template' [R, 3], 'directions' [R, 3, S]; and for `init` of the choice
    'nearest' its 'basis' [S, D].
    """
    region = np.asarray(region)[:: config["vertex_stride"]]
    template, directions = np.asarray(model.v_template)[region], np.asarray(model.shapedirs)[region]
    if config["rigid_free"]:
        directions = common.rigid_free(template, directions)
    found = {
        "template": 1e3 * template.astype(np.float32),
        "directions": 1e3 * directions.astype(np.float32),
    }
    if _is_nearest(config):
        found["basis"] = nearest.basis(directions, config["num_coefficients"])
    return found


def vertices(constants: dict[str, Array], shapes: Float[Array, "B K S"]) -> Float[Array, "B K R 3"]:
    """Neutral front-face vertices (mm) of shape coefficients; S may be less than the head's."""
    moved = common.displaced(constants["directions"], shapes)
    return moved + constants["template"][None, None]


def init(config: Config, key: Key[Array, ""], constants: dict[str, np.ndarray]) -> Params:
    """Fresh params."""
    if _is_nearest(config):
        return nearest.init(config, key, constants)
    k_encoder, k_net = jax.random.split(key)
    points = jnp.zeros((1, 2, *constants["template"].shape))
    context = jnp.zeros((1, config["context_dim"]))
    return {
        "encoder": conditioning.init(config, k_encoder),
        "net": Ranker.from_config(config["net"]).init(k_net, points, context)["params"],
    }


def frozen(config: Config) -> tuple[str, ...]:
    """As `idgen.frozen`."""
    own = nearest.FROZEN if _is_nearest(config) else ()
    return (*own, *conditioning.frozen(config))


def _is_nearest(config: Config) -> bool:
    choice = config.get("choice", CHOICES[0])
    if choice not in CHOICES:
        raise ValueError(f"choice {choice!r} is not known; use one of {', '.join(CHOICES)}")
    return choice == "nearest"


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
      constants: `idrank.constants(config, model, surface()[idrank.region(config)])`, made once.
      shapes: candidates' shape coefficients, any K.
      features: of the pictures, frozen features or crops.
    """
    if _is_nearest(config):
        return nearest.scores(config, params, constants, shapes, features)
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
    on these very errors. With the choice 'nearest' its own loss, for which no candidates are drawn:
    'recovered' is told where the batch has some. Arguments and result as `idgen.loss_fn`."""
    keys = common.example_keys(key, batch["index"])
    if _is_nearest(config):
        loss, s, moved = nearest.loss(config, params, constants, batch, keys, train)
        if s is None:
            return loss, ({"loss": loss}, moved)
        errors = vertex_errors(constants, batch["candidates"].astype(jnp.float32), batch["shape"])
        return loss, ({"loss": loss, "recovered": recovered(s, errors)}, moved)
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

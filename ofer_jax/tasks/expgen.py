"""ExpGen: expression and jaw given a photograph's features, by diffusion.

The denoised variable is (expression[:E'], jaw) - mean over scale: E' = 50 expression coefficients
and the jaw's axis-angle (radians), each brought to about unit variance by constants of the config.
Expression coefficients beyond E' are zero.

Params: {'encoder', 'net'}.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax.arrays import Array, Float, Key
from ofer_jax.flame import FlameModel
from ofer_jax.tasks import common, conditioning
from ofer_jax.tasks.common import Config, Params
from ofer_jax.tasks.conditioning import Features

BEST = {"loss": ("encoder", "net")}


def region(config: Config) -> str:
    """The name of the region of the head's surface that `constants` takes."""
    return "region_face"


def constants(config: Config, model: FlameModel, region: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays the loss needs: 'weights' [E' + 3] float32, mean 1. `region` as for IdGen. The jaw
    moves as much as the strongest expression, and is weighted so."""
    size = config["num_expression"]
    directions = np.asarray(model.exprdirs)[region][:, :, :size]
    gram = common.gram_mm2(np.asarray(model.v_template)[region], directions)
    variance = np.diag(gram) * _offsets(config)[1][:size] ** 2
    variance = np.concatenate([variance, np.full(3, variance.max())])
    return {"weights": common.tempered(variance, config["weight_power"])}


def _offsets(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale [E' + 3], float32; a config's 'expression_scale' may be one number."""
    size = config["num_expression"]
    mean = np.concatenate([np.zeros(size), config["jaw_mean"]])
    scale = np.concatenate([np.full(size, config["expression_scale"]), config["jaw_scale"]])
    return mean.astype(np.float32), scale.astype(np.float32)


def init(config: Config, key: Key[Array, ""], constants: dict[str, np.ndarray]) -> Params:
    """Fresh params."""
    k_encoder, k_net = jax.random.split(key)
    return {
        "encoder": conditioning.init(config, k_encoder),
        "net": common.init_denoiser(config, k_net, config["num_expression"] + 3),
    }


def frozen(config: Config) -> tuple[str, ...]:
    """As `idgen.frozen`."""
    return conditioning.frozen(config)


def loss_fn(
    config: Config,
    params: Params,
    constants: dict[str, Array],
    batch: dict[str, Array],
    key: Key[Array, ""],
    train: bool = True,
) -> tuple[Float[Array, ""], tuple[dict[str, Float[Array, ""]], Params]]:
    """Diffusion loss, mean over the batch: features, expression [B, E], jaw [B, 3], index [B].
    Arguments and result as `idgen.loss_fn`."""
    keys = common.example_keys(key, batch["index"])
    context, moved = conditioning.of_batch(config, params, batch["features"], keys, train)
    mean, scale = _offsets(config)
    expression = batch["expression"][:, : config["num_expression"]]
    x0 = (jnp.concatenate([expression, batch["jaw"]], -1) - mean[None]) / scale[None]
    loss = common.diffusion_loss(config, params, x0, context, keys, constants["weights"])
    return loss, ({"loss": loss}, moved)


def sample(
    config: Config,
    params: Params,
    features: Features,
    key: Key[Array, "*B"],
    num_samples: int,
    sampler: Config | None = None,
) -> tuple[Float[Array, "B M E"], Float[Array, "B M 3"]]:
    """`num_samples` expressions for each picture: (expression [B, M, E], jaw [B, M, 3] axis-angle
    radians). Arguments as `idgen.sample`."""
    context = conditioning.encode(config, params["encoder"], features)
    keys = common.picture_keys(key, conditioning.batch_size(features))
    size = config["num_expression"]
    x = common.sample_coefficients(config, params, context, keys, num_samples, size + 3, sampler)
    mean, scale = _offsets(config)
    x = x * scale[None, None] + mean[None, None]
    rest = jnp.zeros((*x.shape[:2], config["total_expression"] - size), x.dtype)
    return jnp.concatenate([x[..., :size], rest], -1), x[..., size:]

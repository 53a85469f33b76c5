"""IdGen: FLAME shape coefficients given a photograph's features, by diffusion; and the regressor.

The denoised variable is z = U^T shape, D values. U [S, D] has orthonormal columns, so z ~ N(0, I)
as shape is, and what z leaves open is drawn from the prior: shape = U z + (I - U U^T) n with
n ~ N(0, I), which keeps samples plausible and the spread calibrated. With basis 'first', U picks
the first D coefficients (D = S: the published model); with 'face', U holds the leading
eigenvectors of the Gram matrix of the face's vertices after rigid alignment, so that few values
carry what a face picture can tell.

The regressor is the deterministic baseline: an MLP on the same features with its own loss, the
squared vertex error Delta^T G Delta (mm^2); it shares no gradient with the diffusion model. Or it
is the published one ({'name': 'mica', 'encoder': of `conditioning`, 'net': of MicaRegressor}) with
an ArcFace of its own: imported, and never trained.

Params: {'encoder', 'net', 'regressor', 'basis'}; 'basis' is data and is kept frozen.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax.arrays import Array, Float, Key
from ofer_jax.flame import FlameModel
from ofer_jax.models import MicaRegressor, Regressor
from ofer_jax.tasks import common, conditioning
from ofer_jax.tasks.common import Config, Params
from ofer_jax.tasks.conditioning import Features

# Which parts of the params are at their best by which held-out figure (smaller is better).
BEST = {"loss": ("encoder", "net"), "regressor_loss": ("regressor",)}


def region(config: Config) -> str:
    """The name of the region of the head's surface that `constants` takes."""
    return "region_face"


def constants(config: Config, model: FlameModel, region: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays the loss and `init` need, from the head; `region` holds the face's vertex indices.

    Returns float32: 'gram' [S, S] mm^2, 'basis' [S, D], 'weights' [D] (mean 1).
    """
    directions = np.asarray(model.shapedirs)
    size, total = config["num_coefficients"], directions.shape[-1]
    gram = common.gram_mm2(np.asarray(model.v_template)[region], directions[region])
    if config["basis"] == "face":
        # A little of the whole head settles the order of modes that leave the face alone.
        whole = common.gram_mm2(np.asarray(model.v_template), directions)
        basis = common.leading(gram + 0.05 * whole, size)
    else:
        basis = np.eye(total)[:, :size]
    variance = np.einsum("sd,st,td->d", basis, gram, basis)
    return {
        "gram": gram.astype(np.float32),
        "basis": basis.astype(np.float32),
        "weights": common.tempered(variance, config["weight_power"]),
    }


def init(config: Config, key: Key[Array, ""], constants: dict[str, np.ndarray]) -> Params:
    """Fresh params."""
    k_encoder, k_net, k_regressor = jax.random.split(key, 3)
    params = {
        "encoder": conditioning.init(config, k_encoder),
        "net": common.init_denoiser(config, k_net, config["num_coefficients"]),
        "basis": jnp.asarray(constants["basis"]),
    }
    if config["regressor"]:
        params["regressor"] = _init_regressor(config, k_regressor)
    return params


def frozen(config: Config) -> tuple[str, ...]:
    """Regular expressions for the paths of params that are never trained."""
    imported = ("regressor",) if _is_imported(config) else ()
    return ("basis", *imported, *conditioning.frozen(config))


def loss_fn(
    config: Config,
    params: Params,
    constants: dict[str, Array],
    batch: dict[str, Array],
    key: Key[Array, ""],
    train: bool = True,
) -> tuple[Float[Array, ""], tuple[dict[str, Float[Array, ""]], Params]]:
    """Loss to minimise and (metrics, what moved), means over the batch.

    Args:
      config: the task's config.
      params: as `init` made them.
      constants: as `constants` made them (arrays, passed as an argument).
      batch: features, shape [B, S], index [B].
      key: of the step; each example folds in its index.
      train: dropout on, and batch statistics.

    Returns:
      The sum of both models' losses; metrics 'loss' (diffusion) and 'regressor_loss' (mm^2); and
      the partial params that the step writes over the old ones without a gradient ({} if none).
    """
    keys = common.example_keys(key, batch["index"])
    context, moved = conditioning.of_batch(config, params, batch["features"], keys, train)
    x0 = batch["shape"] @ jax.lax.stop_gradient(params["basis"])
    loss = common.diffusion_loss(config, params, x0, context, keys, constants["weights"])
    metrics = {"loss": loss}
    if config["regressor"] and not _is_imported(config):
        metrics["regressor_loss"] = _regressor_loss(config, params, constants, batch, keys, train)
    return sum(metrics.values(), start=jnp.zeros(())), (metrics, moved)


def _is_imported(config: Config) -> bool:
    return bool(config["regressor"]) and config["regressor"].get("name") == "mica"


def _regressor(config: Config) -> Regressor:
    settings = {**config["regressor"], "dtype": common.compute_dtype(config)}
    return Regressor.from_config(settings)


def _mica(config: Config) -> MicaRegressor:
    return MicaRegressor.from_config(config["regressor"]["net"])


def _init_regressor(config: Config, key: Key[Array, ""]) -> Params:
    if not _is_imported(config):
        return _regressor(config).init(key, conditioning.example(config))["params"]
    k_encoder, k_net = jax.random.split(key)
    embedding = jnp.zeros((1, config["regressor"]["encoder"].get("out_dim", 512)))
    return {
        "encoder": conditioning.init(config["regressor"], k_encoder),
        "net": _mica(config).init(k_net, embedding)["params"],
    }


def _regressor_loss(
    config: Config,
    params: Params,
    constants: dict[str, Array],
    batch: dict[str, Array],
    keys: Key[Array, "B"],
    train: bool,
) -> Float[Array, ""]:
    rows = conditioning.vector(config, batch["features"])
    z = conditioning.apply_mlp(
        _regressor(config), params["regressor"], rows, keys if train else None
    )
    error = z @ jax.lax.stop_gradient(params["basis"]).T - batch["shape"]
    return jnp.mean(jnp.sum((error @ constants["gram"]) * error, axis=-1))


def regress(config: Config, params: Params, features: Features) -> Float[Array, "B S"]:
    """The deterministic regressor's shape coefficients. Jit it in the caller.

    Raises:
      ValueError: if the bundle holds no regressor.
    """
    if "regressor" not in params:
        raise ValueError("this IdGen was trained without a regressor (config 'regressor')")
    if _is_imported(config):
        embedding = conditioning.encode(
            config["regressor"], params["regressor"]["encoder"], features
        )
        return _mica(config).apply({"params": params["regressor"]["net"]}, embedding)
    rows = conditioning.vector(config, features)
    z = conditioning.apply_mlp(_regressor(config), params["regressor"], rows, None)
    return z @ params["basis"].T


def sample(
    config: Config,
    params: Params,
    features: Features,
    key: Key[Array, "*B"],
    num_samples: int,
    sampler: Config | None = None,
) -> Float[Array, "B K S"]:
    """`num_samples` shape coefficient vectors for each picture, encoded once. Jit it in the caller
    (config, num_samples and sampler static).

    Args:
      config: the task's config, as the bundle holds it.
      params: of IdGen.
      features: of the pictures, frozen features or crops.
      key: one key, or one a picture [B]; then a picture's samples do not depend on its company.
      num_samples: K.
      sampler: see `common.sample_coefficients`; the config's by default.
    """
    context = conditioning.encode(config, params["encoder"], features)
    keys = common.picture_keys(key, conditioning.batch_size(features))
    size = config["num_coefficients"]
    z = common.sample_coefficients(config, params, context, keys, num_samples, size, sampler)
    return complete(config, params["basis"], z, keys)


def complete(
    config: Config, basis: Float[Array, "S D"], z: Float[Array, "B K D"], keys: Key[Array, "B"]
) -> Float[Array, "B K S"]:
    """Shape from the denoised part; the rest from the prior, or zero with `rest` 'zero'."""
    shape = z @ basis.T
    if config["rest"] == "zero" or basis.shape[0] == basis.shape[1]:
        return shape
    salted = jax.vmap(lambda k: jax.random.fold_in(k, 3))(keys)
    n = common.normal_like(salted, jnp.zeros(shape.shape, shape.dtype))
    return shape + n - (n @ basis) @ basis.T

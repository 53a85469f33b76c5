"""What the three tasks share: noise keyed per example, diffusion loss and sampling.

The forward process is x_t = sqrt(ab_t) x0 + sqrt(1 - ab_t) eps (Ho et al. 2020, eq. 4). The network
predicts eps (the published model) or v = sqrt(ab_t) eps - sqrt(1 - ab_t) x0 (Salimans & Ho 2022),
and is trained on the mean absolute (`l1`, published) or mean squared (`l2`) difference.

A task's `config` is a plain dict that JSON can hold; it travels inside the inference bundle, so
that a bundle needs nothing of `configs/`. Params are dicts: {'encoder': ..., 'net': ...}. With
'compute_dtype' 'bfloat16' the networks compute in that (see `models.layers`); schedules, noise,
losses and samplers' steps do not. Training sets it for its own steps alone.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax import losses
from ofer_jax.arrays import Array, Float, Int, Key
from ofer_jax.diffusion import gaussian, samplers, schedule
from ofer_jax.models import Denoiser, sampling_fn

SAMPLERS = {
    "ddpm": samplers.ddpm,
    "ddim": samplers.ddim,
    "dpm": samplers.dpm,
    "dpm3": samplers.dpm3,
    "official_ddim": samplers.official_ddim,
}

Config = Mapping[str, Any]
Params = dict[str, Any]


def example_keys(key: Key[Array, ""], index: Int[Array, "B"]) -> Key[Array, "B"]:
    """One key an example, from its number in the data and never from its place in the batch, so
    that the noise does not depend on how many devices or processes share the batch."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, index.astype(jnp.uint32))


def picture_keys(key: Key[Array, "*B"], batch: int) -> Key[Array, "B"]:
    """`key` as one key a picture: an array of keys is taken as it is."""
    return key if key.ndim else jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(batch))


def compute_dtype(config: Config) -> str | None:
    """What the networks' layers compute in; None: as their inputs and params are.

    Raises:
      ValueError: for an unknown one.
    """
    name = config.get("compute_dtype", "float32")
    if name not in ("float32", "bfloat16"):
        raise ValueError(f"compute_dtype is {name!r}; use 'float32' or 'bfloat16'")
    return None if name == "float32" else name


def noise_schedule(config: Config) -> schedule.Schedule:
    """The linear schedule of `config['schedule']`: steps, beta_start, beta_end, and if they are not
    to be 'float64', tables. Its values are known while a program that uses it is compiled."""
    s = config["schedule"]
    tables = s.get("tables", "float64")
    with jax.ensure_compile_time_eval():
        return schedule.linear(s["steps"], s["beta_start"], s["beta_end"], tables=tables)


def salted(keys: Key[Array, "B"], salt: int) -> Key[Array, "B"]:
    """Other keys, for another use of the same examples."""
    return jax.vmap(lambda k: jax.random.fold_in(k, salt))(keys)


def normal_like(keys: Key[Array, "B"], x: Float[Array, "B *n"]) -> Float[Array, "B *n"]:
    """Standard normal noise of `x`'s shape, row b from `keys[b]`."""
    return jax.vmap(lambda k: jax.random.normal(k, x.shape[1:], x.dtype))(keys)


# ---------------------------------------------------------------- diffusion


def denoiser(config: Config, size: int) -> Denoiser:
    """The network for `size` coefficients."""
    return Denoiser.from_config({**config["net"], "dim": size, "dtype": compute_dtype(config)})


def init_denoiser(config: Config, key: Key[Array, ""], size: int) -> Params:
    """Parameters of the denoiser."""
    x, context = jnp.zeros((1, size)), jnp.zeros((1, config["net"]["context_dim"]))
    return denoiser(config, size).init(key, x, jnp.zeros(1, jnp.int32), context)["params"]


def diffusion_loss(
    config: Config,
    params: Params,
    x0: Float[Array, "B D"],
    context: Float[Array, "B C"],
    keys: Key[Array, "B"],
    weights: Float[Array, "D"],
) -> Float[Array, ""]:
    """Weighted loss at a random step of each example; t and eps come from the example's own key.

    Args:
      config: the task's config (schedule, prediction_type, loss, net).
      params: with 'net'.
      x0: clean coefficients, in standard deviations.
      context: of each example.
      keys: one an example.
      weights: of each coefficient, mean 1.
    """
    table = noise_schedule(config)
    t = jax.vmap(lambda k: jax.random.randint(k, (), 0, config["schedule"]["steps"]))(
        salted(keys, 1)
    )
    eps = normal_like(salted(keys, 2), x0)
    xt = gaussian.q_sample(table, x0, t, eps)
    net = denoiser(config, x0.shape[-1])
    prediction = net.apply({"params": params["net"]}, xt, t, context)
    target = gaussian.target(table, x0, t, eps, config["prediction_type"])
    return losses.denoising(prediction, target, config["loss"], weights)


def sample_coefficients(
    config: Config,
    params: Params,
    context: Float[Array, "B C"],
    keys: Key[Array, "B"],
    num_samples: int,
    size: int,
    sampler: Config | None = None,
) -> Float[Array, "B K D"]:
    """`num_samples` draws for each context; those of picture b depend on `keys[b]` alone.

    `sampler` is {'name': one of SAMPLERS, and that function's own options}, and may hold the
    'temperature' of `samplers.sample`; by default the config's.
    """
    table, net = noise_schedule(config), denoiser(config, size)
    chosen = sampler or config["sampler"]
    steps = solver(table, chosen)
    predict = sampling_fn(net, {"params": params["net"]}, context, num_samples, steps.times)

    def predict_x0(x: Float[Array, "R D"], i: Int[Array, ""]) -> Float[Array, "R D"]:
        t = jnp.broadcast_to(steps.times[i], x.shape[:1])
        return gaussian.to_x0(table, predict(x, i), x, t, config["prediction_type"])

    of_samples = jax.vmap(lambda key: jax.random.split(key, num_samples))(keys).reshape(-1)
    shape, heat = (of_samples.shape[0], size), chosen.get("temperature", 1.0)
    x = samplers.sample(steps, predict_x0, of_samples, shape, temperature=heat)
    return x.reshape(context.shape[0], num_samples, size)


def solver(table: schedule.Schedule, sampler: Config) -> samplers.Solver:
    """The solver of {'name': one of SAMPLERS, and that function's own options}.

    Raises:
      ValueError: for another name, or options that the function refuses.
    """
    options = {name: value for name, value in sampler.items() if name != "temperature"}
    name = options.pop("name")
    if name not in SAMPLERS:
        raise ValueError(f"sampler {name!r} is not known; use one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name](table, **options)


# ---------------------------------------------------------------- weights from the head


def rigid_free(vertices: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Directions [N, 3, S] with what a rigid motion of `vertices` [N, 3] could make taken out, as
    an alignment before measuring would; metres in, metres out, float64."""
    x = (vertices - vertices.mean(0)).astype(np.float64)
    turns = [np.cross(axis, x).ravel() for axis in np.eye(3)]
    shifts = [np.tile(axis, len(x)) for axis in np.eye(3)]
    q, _ = np.linalg.qr(np.stack(turns + shifts, 1))
    flat = directions.reshape(-1, directions.shape[-1]).astype(np.float64)
    return (flat - q @ (q.T @ flat)).reshape(directions.shape)


def gram_mm2(vertices: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """G [S, S] in mm^2 with mean over vertices of |displacement|^2 = c^T G c for coefficients c,
    after a rigid alignment (to first order)."""
    flat = 1e3 * rigid_free(vertices, directions).reshape(-1, directions.shape[-1])
    return flat.T @ flat / len(vertices)


def leading(gram: np.ndarray, size: int) -> np.ndarray:
    """The eigenvectors [S, `size`] of the greatest eigenvalues of a Gram matrix, greatest first."""
    return np.linalg.eigh(gram)[1][:, ::-1][:, :size]


def displaced(
    directions: Float[Array, "R 3 S"], coefficients: Float[Array, "B K T"]
) -> Float[Array, "B K R 3"]:
    """What coefficients move vertices by, in the unit of `directions`; T may be less than S."""
    known = directions[..., : coefficients.shape[-1]]
    return jnp.einsum("bks,rcs->bkrc", coefficients, known)


def tempered(variance: np.ndarray, power: float) -> np.ndarray:
    """Loss weights (rms / mean rms)^power, scaled to mean 1; float32. Power 0 weighs all alike;
    2 is the squared vertex error; the last modes are microns and should not lead."""
    weights = np.sqrt(np.maximum(variance, 0.0)) ** power
    return (weights / weights.mean()).astype(np.float32)

"""The choice of the candidate that lies nearest to the face which the picture lets expect.

Whatever is known of the truth y, the expected squared distance of a candidate x is

    E |x - y|^2 = |x - E y|^2 + a part that is the same for all candidates,

so the best choice is the candidate nearest to E y, and all that a ranker can add is to know E y
better than the candidates' own mean does. A regressor learns it, as one does: by the squared vertex
error. It gains where it sees more of the picture than IdGen did, as the published ranker does with
its second encoder. It needs no candidates to learn from.

`config['members']` regressors learn it side by side, each from its own start and with its own noise
and dropout, and the expected face is the mean of what they say.

Distances are over the vertices of `idrank.constants`, mm.

Params: {'encoder', 'net': {'member_0', ...}, 'basis'}; 'basis' [S, D] is data and is kept frozen:
the directions that move these vertices most, of which a regressor gives D coefficients.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax.arrays import Array, Float, Key
from ofer_jax.models import Estimator
from ofer_jax.tasks import common, conditioning
from ofer_jax.tasks.common import Config, Params
from ofer_jax.tasks.conditioning import Features

FROZEN = ("basis",)


def basis(directions: Float[np.ndarray, "R 3 S"], size: int) -> Float[np.ndarray, "S D"]:
    """The `size` orthonormal directions in the coefficients that move the vertices most."""
    flat = directions.reshape(-1, directions.shape[-1]).astype(np.float64)
    return common.leading(flat.T @ flat, size).astype(np.float32)


def init(config: Config, key: Key[Array, ""], constants: dict[str, np.ndarray]) -> Params:
    """Fresh params; `constants` are `idrank.constants`."""
    k_encoder, k_net = jax.random.split(key)
    context = jnp.zeros((1, conditioning.width(config)))
    starts = {n: jax.random.fold_in(k_net, i) for i, n in enumerate(_members(config))}
    return {
        "encoder": conditioning.init(config, k_encoder),
        "net": {n: _net(config).init(start, context)["params"] for n, start in starts.items()},
        "basis": jnp.asarray(constants["basis"]),
    }


def _members(config: Config) -> list[str]:
    return [f"member_{number}" for number in range(config["members"])]


def _net(config: Config) -> Estimator:
    sizes = {"out_dim": config["num_coefficients"], "dtype": common.compute_dtype(config)}
    return Estimator.from_config({**config["net"], **sizes})


def scores(
    config: Config,
    params: Params,
    constants: dict[str, Array],
    shapes: Float[Array, "B K S"],
    features: Features,
) -> Float[Array, "B K"]:
    """Minus the mean vertex distance (mm) from each candidate to the expected face; as
    `idrank.scores`."""
    context = conditioning.encode(config, params["encoder"], features)
    said = [_says(config, params, name, context, None) for name in _members(config)]
    return _scores(constants, shapes, jnp.mean(jnp.stack(said), axis=0))


def _says(
    config: Config,
    params: Params,
    member: str,
    context: Float[Array, "B C"],
    keys: Key[Array, "B"] | None,
) -> Float[Array, "B S"]:
    """The face that a member expects, its coefficients; `keys` switch dropout on."""
    z = conditioning.apply_mlp(_net(config), params["net"][member], context, keys)
    return z @ jax.lax.stop_gradient(params["basis"]).T


def _scores(
    constants: dict[str, Array], shapes: Float[Array, "B K S"], expected: Float[Array, "B S"]
) -> Float[Array, "B K"]:
    off = common.displaced(constants["directions"], shapes - expected[:, None, : shapes.shape[-1]])
    return -jnp.mean(jnp.linalg.norm(off, axis=-1), axis=-1)


def loss(
    config: Config,
    params: Params,
    constants: dict[str, Array],
    batch: dict[str, Array],
    keys: Key[Array, "B"],
    train: bool,
) -> tuple[Float[Array, ""], Float[Array, "B K"] | None, Params]:
    """The squared vertex error (mm^2, mean over vertices and batch) of each member's face, summed,
    or out of training that of the expected face; the scores of the batch's candidates, if it has
    any; the params that move without a gradient."""
    said, moved = [], {}
    for number, name in enumerate(_members(config)):
        own = common.salted(keys, 20 + number)
        context, moved = conditioning.of_batch(config, params, batch["features"], own, train)
        said.append(_says(config, params, name, context, own if train else None))
    faces = jnp.stack(said, axis=1)
    expected = jnp.mean(faces, axis=1)
    faces = faces if train else expected[:, None]
    off = common.displaced(constants["directions"], faces - batch["shape"][:, None])
    squared = jnp.sum(jnp.mean(jnp.sum(jnp.square(off), axis=-1), axis=(0, 2)))
    if "candidates" not in batch:
        return squared, None, moved
    return squared, _scores(constants, batch["candidates"].astype(jnp.float32), expected), moved

"""What a network is told of a photograph: features, and the encoder that makes a context of them.

`features` are either frozen ones, a float array [B, F], or the aligned crops of the face as bytes,
for an encoder that looks at pictures itself. Every function takes both.
"""

from typing import Any

import jax
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float, Key, UInt8
from ofer_jax.models import FeatureEncoder, Regressor
from ofer_jax.tasks import common
from ofer_jax.tasks.common import Config, Params

Features = Float[Array, "B F"] | dict[str, UInt8[Array, "B H W 3"]]


def batch_size(features: Any) -> int:
    """The number of pictures."""
    return jax.tree.leaves(features)[0].shape[0]


def vector(features: Features) -> Float[Array, "B F"]:
    """The frozen features; ValueError for crops."""
    if isinstance(features, dict):
        raise ValueError("this network takes frozen features, and the data hold crops of pictures")
    return features


def feature_encoder(config: Config) -> FeatureEncoder | None:
    """The trainable encoder, or None when frozen features are the context themselves."""
    encoder = dict(config["encoder"])
    name = encoder.pop("name")
    if name == "cached":
        return None
    if name != "mlp":
        raise ValueError(f"encoder {name!r} is not known; use 'mlp' or 'cached'")
    return FeatureEncoder.from_config(encoder)


def init(config: Config, key: Key[Array, ""]) -> Params:
    """Parameters of the encoder; empty for cached features."""
    module = feature_encoder(config)
    if module is None:
        return {}
    return module.init(key, jnp.zeros((1, config["features"]["size"])))["params"]


def encode(config: Config, params: Params, features: Features) -> Float[Array, "B C"]:
    """Context of each picture."""
    module = feature_encoder(config)
    rows = vector(features)
    return rows if module is None else apply_mlp(module, params, rows, None)


def encode_train(
    config: Config, params: Params, features: Features, keys: Key[Array, "B"]
) -> tuple[Float[Array, "B C"], Params]:
    """Context of each picture, with what only training does: dropout, and Gaussian noise of
    `feature_noise` standard deviations on frozen features.

    Returns:
      The context, and the part of `params` that changes without a gradient ({} if none).
    """
    module, rows = feature_encoder(config), vector(features)
    if module is None:
        return rows, {}
    noise = config.get("feature_noise", 0.0)
    if noise:
        rows = rows + noise * common.normal_like(common.salted(keys, 7), rows)
    return apply_mlp(module, params, rows, keys), {}


def of_batch(
    config: Config,
    params: Params,
    features: Features,
    keys: Key[Array, "B"],
    train: bool,
) -> tuple[Float[Array, "B C"], Params]:
    """What a loss needs of a task's `params`: the context, and the partial params (of the task)
    that a training step writes over the old ones."""
    if not train:
        return encode(config, params["encoder"], features), {}
    context, moved = encode_train(config, params["encoder"], features, keys)
    return context, {"encoder": moved} if moved else {}


def apply_mlp(
    module: FeatureEncoder | Regressor,
    params: Params,
    features: Float[Array, "B F"],
    keys: Key[Array, "B"] | None,
) -> Float[Array, "B C"]:
    """Run an encoder or regressor; `keys` (one an example) switch dropout on."""
    if keys is None:
        return module.apply({"params": params}, features, deterministic=True)

    def one(row: Float[Array, "F"], key: Key[Array, ""]) -> Float[Array, "C"]:
        rngs = {"dropout": key}
        return module.apply({"params": params}, row[None], deterministic=False, rngs=rngs)[0]

    return jax.vmap(one)(features, keys)

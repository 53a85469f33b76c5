"""What a network is told of a photograph: features, and the encoder that makes a context of them.

`features` are either frozen ones, a float array [B, F], or the aligned crops of the face as bytes,
RGB: {'crop_112': [B, 112, 112, 3], 'crop_224': [B, 224, 224, 3]}. A network reads the leading
`config['features']['size']` of the frozen ones: the tasks share one array, of which some read more
than others. `config['encoder']['name']`:

| name           | takes      | context                                          |
| -------------- | ---------- | ------------------------------------------------ |
| 'cached'       | features   | they are the context themselves                  |
| 'mlp'          | features   | a small trained network's                        |
| 'arcface'      | crop_112   | ArcFace's embedding, of length 1                 |
| 'farl+arcface' | both crops | FaRL's embedding (any length), then ArcFace's    |

The published encoders' settings: 'blocks', 'frozen_stages', 'out_dim' and 'width' of
`models.ArcFace`; 'last_norm' (True); 'channels' of ArcFace's input ('rgb', or the published demo's
'bgr'); and 'farl', the fields of `models.FaRL`. Their params are {'arcface': {'params',
'batch_stats'}, 'farl': {'params'}}.
"""

import re
from typing import Any

import jax
import jax.numpy as jnp

from ofer_jax.arrays import Array, Float, Key, UInt8
from ofer_jax.models import ArcFace, FaRL, FeatureEncoder, Regressor, arcface_input, farl_input
from ofer_jax.tasks import common
from ofer_jax.tasks.common import Config, Params

NAMES = ("mlp", "cached", "arcface", "farl+arcface")
Features = Float[Array, "B F"] | dict[str, UInt8[Array, "B H W 3"]]


def batch_size(features: Any) -> int:
    """The number of pictures."""
    return jax.tree.leaves(features)[0].shape[0]


def vector(config: Config, features: Features) -> Float[Array, "B F"]:
    """The frozen features that the config's network reads; ValueError for crops, or for fewer."""
    if isinstance(features, dict):
        raise ValueError("this network takes frozen features, not crops of pictures")
    size = config["features"].get("size", features.shape[-1])
    if features.shape[-1] < size:
        raise ValueError(f"this network takes {size} features, not {features.shape[-1]}")
    return features[:, :size]


def example(config: Config) -> Float[Array, "1 F"]:
    """Frozen features of the config's size, to make params with; ValueError if they are crops."""
    features = config["features"]
    if "size" not in features:
        raise ValueError(f"this network takes frozen features, not {features['name']!r}")
    return jnp.zeros((1, features["size"]))


def crop(features: Features, name: str) -> UInt8[Array, "B H W 3"]:
    """One of the crops; ValueError for frozen features."""
    if not isinstance(features, dict) or name not in features:
        raise ValueError(f"this network takes pictures ({name}), not frozen features")
    return features[name]


# ---------------------------------------------------------------- any encoder


def init(config: Config, key: Key[Array, ""]) -> Params:
    """Parameters of the encoder; empty for cached features."""
    name, settings = _settings(config)
    if name == "cached":
        return {}
    if name == "mlp":
        return FeatureEncoder.from_config(settings).init(key, example(config))["params"]
    k_arcface, k_farl = jax.random.split(key)
    made = {"arcface": _arcface(settings).init(k_arcface, jnp.zeros((1, 112, 112, 3)))}
    if name == "farl+arcface":
        made["farl"] = _farl(settings).init(k_farl, jnp.zeros((1, 224, 224, 3)))
    return made


def encode(config: Config, params: Params, features: Features) -> Float[Array, "B C"]:
    """Context of each picture."""
    return _encode(config, params, features, None)[0]


def encode_train(
    config: Config, params: Params, features: Features, keys: Key[Array, "B"]
) -> tuple[Float[Array, "B C"], Params]:
    """Context of each picture, with what only training does: Gaussian noise of `feature_noise`
    standard deviations on frozen features, dropout in 'mlp', the batch's own statistics in ArcFace.

    Args:
      config: with 'encoder'.
      params: of the encoder.
      features: of the pictures.
      keys: one a picture.

    Returns:
      The context, and the part of `params` that changes without a gradient ({} if none).
    """
    return _encode(config, params, features, keys)


def of_batch(
    config: Config, params: Params, features: Features, keys: Key[Array, "B"], train: bool
) -> tuple[Float[Array, "B C"], Params]:
    """What a loss needs of a task's `params`: the context, and the partial params (of the task)
    that a training step writes over the old ones."""
    context, moved = _encode(config, params["encoder"], features, keys if train else None)
    return context, {"encoder": moved} if moved else {}


def width(config: Config) -> int:
    """Values of the context: `context_dim`, or the number of features that are it themselves."""
    cached = config["encoder"]["name"] == "cached"
    return config["features"]["size"] if cached else config["context_dim"]


def frozen(config: Config) -> tuple[str, ...]:
    """Regular expressions for the paths of the encoder's params that are never trained."""
    still = _still(_settings(config)[1])
    return (rf"encoder/arcface/params/({still})",) if still else ()


def _still(settings: dict[str, Any]) -> str:
    """Names of ArcFace's frozen layers, as a regular expression; empty if there are none."""
    stages = settings.get("frozen_stages")
    return rf"conv|norm|prelu|stage_[1-{stages}]_\d+" if stages else ""


def _settings(config: Config) -> tuple[str, dict[str, Any]]:
    settings = dict(config["encoder"])
    name = settings.pop("name")
    if name not in NAMES:
        raise ValueError(f"encoder {name!r} is not known; use one of {', '.join(NAMES)}")
    return name, {**settings, "dtype": common.compute_dtype(config)}


def _encode(
    config: Config, params: Params, features: Features, keys: Key[Array, "B"] | None
) -> tuple[Float[Array, "B C"], Params]:
    name, settings = _settings(config)
    if name in ("cached", "mlp"):
        rows, noise = vector(config, features), config.get("feature_noise", 0.0)
        if keys is not None and noise:
            rows = rows + noise * common.normal_like(common.salted(keys, 7), rows)
        if name == "cached":
            return rows, {}
        return apply_mlp(FeatureEncoder.from_config(settings), params, rows, keys), {}
    identity, moved = _identity(settings, params["arcface"], features, keys is not None)
    if name == "arcface":
        return identity, moved
    face = _farl(settings).apply(params["farl"], farl_input(crop(features, "crop_224")))
    return jnp.concatenate([face, identity], axis=-1), moved


# ---------------------------------------------------------------- each encoder


def apply_mlp(
    module: Regressor,
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


def _arcface(settings: dict[str, Any]) -> ArcFace:
    ours = ("last_norm", "channels", "farl")
    return ArcFace.from_config({k: v for k, v in settings.items() if k not in ours})


def _farl(settings: dict[str, Any]) -> FaRL:
    return FaRL.from_config({**settings.get("farl", {}), "dtype": settings["dtype"]})


def _identity(
    settings: dict[str, Any], variables: Params, features: Features, train: bool
) -> tuple[Float[Array, "B 512"], Params]:
    """ArcFace's embedding, of length 1, and its moved statistics."""
    pictures, channels = crop(features, "crop_112"), settings.get("channels", "rgb")
    if channels not in ("rgb", "bgr"):
        raise ValueError(f"the encoder's channels are {channels!r}; use 'rgb' or 'bgr'")
    images = arcface_input(pictures if channels == "rgb" else pictures[..., ::-1])
    net, last_norm = _arcface(settings), settings.get("last_norm", True)
    if not train:
        return _unit(net.apply(variables, images, last_norm=last_norm)), {}
    out, moved = net.apply(
        variables, images, train=True, last_norm=last_norm, mutable=["batch_stats"]
    )
    # Frozen statistics stay out: averaged over devices, they would lose their last bits.
    stats = {k: v for k, v in moved["batch_stats"].items() if not re.fullmatch(_still(settings), k)}
    return _unit(out), {"arcface": {"batch_stats": stats}}


def _unit(x: Float[Array, "B C"]) -> Float[Array, "B C"]:
    """Rows of length 1; the bound keeps the gradient finite at zero."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, axis=-1, keepdims=True), 1e-24))

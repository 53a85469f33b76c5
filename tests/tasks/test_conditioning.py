"""Encoders: what training adds, what inference leaves out, what is frozen."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax.models import ArcFace, FaRL, arcface_input, farl_input
from ofer_jax.tasks import conditioning, idgen
from tests import toy

BOTH = {"encoder": toy.encoder("farl+arcface")}
KEYS = jax.random.split(jax.random.key(1), 4)


@pytest.fixture(scope="module")
def params() -> dict[str, Any]:
    """Fresh params of both encoders, with statistics that tell training from inference."""
    made = jax.jit(lambda key: conditioning.init(BOTH, key))(jax.random.key(0))
    stats = jax.tree.map(lambda x: x + 0.5, made["arcface"]["batch_stats"])
    return made | {"arcface": made["arcface"] | {"batch_stats": stats}}


@pytest.fixture(scope="module")
def crops() -> dict[str, jax.Array]:
    return jax.tree.map(jnp.asarray, toy.crops(4))


# ---------------------------------------------------------------- frozen features


def test_dropout_and_feature_noise_are_for_training_alone() -> None:
    config = toy.model_config("expgen")
    params = conditioning.init(config, jax.random.key(0))
    features = jnp.asarray(toy.arrays()["features"][:4])
    calm = conditioning.encode(config, params, features)
    noisy, moved = conditioning.encode_train(config, params, features, KEYS)
    assert not np.allclose(noisy, calm, atol=1e-3)
    assert moved == {}
    silent = {**config, "feature_noise": 0.0, "encoder": {**config["encoder"], "dropout": 0.0}}
    quiet, _ = conditioning.encode_train(silent, params, features, KEYS)
    np.testing.assert_allclose(quiet, calm, atol=1e-5)


def test_cached_features_are_the_context_themselves() -> None:
    config = {"encoder": {"name": "cached"}, "features": {"name": "arcface", "size": 10}}
    assert conditioning.init(config, jax.random.key(0)) == {}
    features = jnp.asarray(toy.arrays()["features"][:4])
    np.testing.assert_array_equal(conditioning.encode(config, {}, features), features)


# ---------------------------------------------------------------- pictures


def embeddings(params: Any, crops: Any, **options: Any) -> tuple[jax.Array, jax.Array]:
    """(FaRL's, ArcFace's of length 1) of the tiny encoders, from the networks themselves."""
    arcface = ArcFace(blocks=(1, 1, 1, 1), width=4, out_dim=8)
    identity = arcface.apply(params["arcface"], arcface_input(crops["crop_112"]), **options)
    farl = FaRL(width=8, depth=1, heads=2, patch=56, out_dim=6)
    face = farl.apply(params["farl"], farl_input(crops["crop_224"]))
    return face, identity / jnp.linalg.norm(identity, axis=-1, keepdims=True)


def test_the_context_is_farls_then_arcfaces_of_length_1(params, crops) -> None:
    face, identity = embeddings(params, crops)
    both = conditioning.encode(BOTH, params, crops)
    np.testing.assert_allclose(both[:, :6], face, atol=1e-5)
    np.testing.assert_allclose(both[:, 6:], identity, atol=1e-5)
    alone = conditioning.encode({"encoder": toy.encoder("arcface")}, params, crops)
    np.testing.assert_allclose(alone, identity, atol=1e-5)


def test_the_published_demos_order_and_skipped_norm_are_settings(params, crops) -> None:
    config = {"encoder": {**BOTH["encoder"], "channels": "bgr", "last_norm": False}}
    turned = {**crops, "crop_112": crops["crop_112"][..., ::-1]}
    _, identity = embeddings(params, turned, last_norm=False)
    made = conditioning.encode(config, params, crops)
    np.testing.assert_allclose(made[:, 6:], identity, atol=1e-5)
    usual = conditioning.encode(BOTH, params, crops)
    np.testing.assert_array_equal(made[:, :6], usual[:, :6])
    assert np.abs(made[:, 6:] - usual[:, 6:]).max() > 0.05


def test_training_moves_the_last_stage_and_farl_and_leaves_frozen_stages(params, crops) -> None:
    weights = jax.random.normal(jax.random.key(2), (4, 14))

    @jax.jit
    def gradient(params: Any, crops: Any) -> Any:
        def figure(params: Any) -> tuple[jax.Array, Any]:
            context, moved = conditioning.encode_train(BOTH, params, crops, KEYS)
            return jnp.sum(context * weights), moved

        return jax.grad(figure, has_aux=True)(params)

    found, moved = gradient(params, crops)

    def moves(tree: Any) -> set[str]:
        return {name for name, part in tree.items() if any(map(np.any, jax.tree.leaves(part)))}

    trained = {"stage_4_0", "out_norm", "fc", "features"}
    assert moves(found["arcface"]["params"]) == trained
    assert moves(found["arcface"]["batch_stats"]) == set()
    assert all(np.any(leaf) for leaf in jax.tree.leaves(found["farl"]["params"]))
    after = moved["arcface"]["batch_stats"]  # without those of frozen stages
    before = {name: params["arcface"]["batch_stats"][name] for name in after}
    assert set(after) == trained - {"fc"}
    assert moves(jax.tree.map(np.subtract, after, before)) == trained - {"fc"}
    assert set(moved) == {"arcface"}


def test_training_goes_by_the_batch_and_inference_by_what_it_remembers(params, crops) -> None:
    two = jax.tree.map(lambda x: x[:2], crops)
    train = jax.jit(lambda f, k: conditioning.encode_train(BOTH, params, f, k)[0])
    assert np.abs(train(crops, KEYS)[:2] - train(two, KEYS[:2])).max() > 1e-2
    four = conditioning.encode(BOTH, params, crops)[:2]
    np.testing.assert_allclose(four, conditioning.encode(BOTH, params, two), atol=1e-5)
    one = jax.tree.map(lambda x: x[:1], crops)
    with pytest.raises(ValueError, match="cannot train on one picture"):
        conditioning.encode_train(BOTH, params, one, KEYS[:1])


def test_the_frozen_paths_are_the_stem_and_the_first_stages() -> None:
    (pattern,) = conditioning.frozen({"encoder": toy.encoder("arcface")})
    assert pattern == r"encoder/arcface/params/(conv|norm|prelu|stage_[1-3]_\d+)"
    assert conditioning.frozen({"encoder": {**toy.encoder("arcface"), "frozen_stages": 0}}) == ()
    assert conditioning.frozen(toy.model_config("expgen")) == ()


def test_a_picture_is_encoded_once_whatever_the_number_of_samples(crops) -> None:
    config, constants = toy.picture_config("idgen"), toy.constants("idgen")
    params = jax.eval_shape(lambda: idgen.init(config, jax.random.key(0), constants))

    def convolutions(fn: Any, *arguments: Any) -> int:
        return str(jax.make_jaxpr(fn)(*arguments)).count("conv_general_dilated")

    once = convolutions(lambda p, f: conditioning.encode(config, p["encoder"], f), params, crops)
    drawn = convolutions(
        lambda p, f: idgen.sample(config, p, f, jax.random.key(0), 5), params, crops
    )
    assert once == drawn == 13
    shapes = jax.eval_shape(
        lambda p, f: idgen.sample(config, p, f, jax.random.key(0), 5), params, crops
    )
    assert shapes.shape == (4, 5, toy.SHAPE)


def test_what_does_not_fit_is_an_error(params, crops) -> None:
    with pytest.raises(ValueError, match="'resnet' is not known"):
        conditioning.init({"encoder": {"name": "resnet"}}, jax.random.key(0))
    with pytest.raises(ValueError, match=r"takes pictures .crop_112., not frozen features"):
        conditioning.encode(BOTH, params, jnp.zeros((2, 10)))
    pictures = {"encoder": {"name": "mlp"}, "features": {"name": "crops"}}
    with pytest.raises(ValueError, match="takes frozen features, not 'crops'"):
        conditioning.init(pictures, jax.random.key(0))
    with pytest.raises(ValueError, match="takes frozen features, not crops"):
        conditioning.encode(toy.model_config("expgen"), {}, crops)
    with pytest.raises(ValueError, match="channels are 'gbr'"):
        conditioning.encode({"encoder": {**BOTH["encoder"], "channels": "gbr"}}, params, crops)
    with pytest.raises(ValueError, match=r"ArcFace has no setting .'blocs'."):
        conditioning.encode({"encoder": {**BOTH["encoder"], "blocs": []}}, params, crops)
    with pytest.raises(ValueError, match="frozen_stages is 5; there are 4 stages"):
        conditioning.encode({"encoder": {**BOTH["encoder"], "frozen_stages": 5}}, params, crops)

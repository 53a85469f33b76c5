"""IdGen: the basis, the prior beyond it, and a regressor that shares no gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax.models import MicaRegressor
from ofer_jax.tasks import conditioning, idgen
from tests import toy

CONFIG = toy.model_config("idgen")


def test_the_face_basis_is_orthonormal_and_leads_with_what_moves_the_face() -> None:
    made = toy.constants("idgen")
    basis, gram = made["basis"], made["gram"]
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-5)
    by_face = np.einsum("sd,st,td->d", basis, gram, basis)
    by_first = np.diag(gram)[:6]
    assert by_face.sum() >= by_first.sum()


def test_the_first_coefficients_are_a_basis_too() -> None:
    config = {**CONFIG, "basis": "first"}
    made = idgen.constants(config, toy.head(), toy.REGION)
    np.testing.assert_array_equal(made["basis"], np.eye(toy.SHAPE, 6))


def test_what_is_not_denoised_comes_from_the_prior() -> None:
    basis = jnp.asarray(toy.constants("idgen")["basis"])
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.standard_normal((2, 4000, 6)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    shape = idgen.complete(CONFIG, basis, z, keys)
    np.testing.assert_allclose(shape @ basis, z, atol=1e-4)
    covariance = np.cov(np.asarray(shape).reshape(-1, toy.SHAPE).T)
    np.testing.assert_allclose(covariance, np.eye(toy.SHAPE), atol=0.08)
    bare = idgen.complete({**CONFIG, "rest": "zero"}, basis, z, keys)
    np.testing.assert_allclose(bare, z @ basis.T, atol=1e-5)


def test_regressor_and_diffusion_share_no_gradient() -> None:
    constants = toy.constants("idgen")
    params = idgen.init(CONFIG, jax.random.key(0), constants)
    batch = {name: jnp.asarray(a[:8]) for name, a in toy.arrays().items()}

    def gradient(name: str) -> dict:
        def figure(params: dict) -> jax.Array:
            return idgen.loss_fn(CONFIG, params, constants, batch, jax.random.key(1))[1][0][name]

        return jax.grad(figure)(params)

    def moves(tree: dict) -> dict[str, bool]:
        return {k: any(np.any(leaf) for leaf in jax.tree.leaves(v)) for k, v in tree.items()}

    assert moves(gradient("loss")) == {
        **{"encoder": True, "net": True, "regressor": False, "basis": False}
    }
    assert moves(gradient("regressor_loss")) == {
        **{"encoder": False, "net": False, "regressor": True, "basis": False}
    }


def test_the_regressor_loss_is_the_squared_vertex_error() -> None:
    constants, rng = toy.constants("idgen"), np.random.default_rng(0)
    head = toy.head()
    delta = rng.standard_normal(toy.SHAPE)
    moved = 1e3 * np.asarray(head.shapedirs, np.float64)[toy.REGION] @ delta
    bound = np.mean(np.sum(moved**2, -1))  # before the alignment, which can only take away
    aligned = delta @ constants["gram"].astype(np.float64) @ delta
    assert 0.2 * bound < aligned < bound


def test_without_a_regressor_asking_for_it_is_an_error() -> None:
    config = {**CONFIG, "regressor": None}
    params = idgen.init(config, jax.random.key(0), toy.constants("idgen"))
    with pytest.raises(ValueError, match="without a regressor"):
        idgen.regress(config, params, jnp.zeros((1, toy.FEATURES)))


def test_the_imported_regressor_is_micas_on_an_arcface_of_its_own() -> None:
    net = {"hidden": 16, "depth": 2, "out_dim": toy.SHAPE}
    regressor = {"name": "mica", "encoder": toy.encoder("arcface"), "net": net}
    config = toy.picture_config("idgen") | {"regressor": regressor}
    constants = toy.constants("idgen")
    shape = jax.eval_shape(lambda key: idgen.init(config, key, constants), jax.random.key(0))
    params = jax.tree.map(lambda x: jnp.linspace(0.05, 0.1, x.size).reshape(x.shape), shape)
    crops = jax.tree.map(jnp.asarray, toy.crops(2))
    shapes = idgen.regress(config, params, crops)
    held = params["regressor"]
    embedding = conditioning.encode(regressor, held["encoder"], crops)
    expected = MicaRegressor.from_config(net).apply({"params": held["net"]}, embedding)
    np.testing.assert_allclose(shapes, expected, atol=1e-6)
    assert shapes.shape == (2, toy.SHAPE) and np.isfinite(shapes).all()
    # It is never trained: no loss of its own, and its params are frozen.
    batch = {name: jnp.asarray(a[:2]) for name, a in toy.arrays().items()} | {"features": crops}
    _, (figures, _) = jax.eval_shape(
        lambda p: idgen.loss_fn(config, p, constants, batch, jax.random.key(1)), params
    )
    assert set(figures) == {"loss"}
    assert "regressor" in idgen.frozen(config)
    assert "regressor" not in idgen.frozen(CONFIG)

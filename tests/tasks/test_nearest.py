"""The choice 'nearest': the best candidate by what the picture lets expect."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ofer_jax.tasks import idrank, nearest
from tests import toy

CONFIG: dict[str, Any] = {
    "choice": "nearest",
    "features": {"name": "open", "size": toy.FEATURES},
    "feature_noise": 0.0,
    "encoder": {"name": "cached"},
    "num_coefficients": 6,
    "members": 2,
    "vertex_stride": 1,
    "rigid_free": False,
    "net": {"leading": 4, "squeeze": 5, "hidden": [32], "dropout": 0.0, "input_dropout": 0.0},
}


@pytest.fixture(scope="module")
def made() -> dict[str, np.ndarray]:
    return idrank.constants(CONFIG, toy.head(), toy.REGION)


@pytest.fixture(scope="module")
def params(made: dict[str, np.ndarray]) -> Any:
    return idrank.init(CONFIG, jax.random.key(0), made)


def batch(count: int = 256) -> dict[str, jax.Array]:
    found = toy.arrays(count)
    return {name: jnp.asarray(found[name]) for name in ("features", "shape", "index")}


def test_it_looks_at_the_face_and_the_published_design_at_the_front() -> None:
    assert idrank.region(CONFIG) == "region_face"
    assert idrank.region(toy.model_config("idrank")) == "region_front"


def test_the_basis_is_orthonormal_and_moves_the_vertices_most(made: dict[str, np.ndarray]) -> None:
    basis = made["basis"]
    np.testing.assert_allclose(basis.T @ basis, np.eye(6), atol=1e-5)
    moved = [np.square(made["directions"] @ u).sum() for u in (*basis.T, *np.eye(toy.SHAPE))]
    assert np.all(np.diff(moved[:6]) < 0) and moved[0] >= max(moved[6:])


def test_scores_are_minus_the_distance_in_mm_to_one_face(
    made: dict[str, np.ndarray], params: Any
) -> None:
    shapes = jax.random.normal(jax.random.key(1), (2, 9, toy.SHAPE))
    features = batch()["features"][:2]
    scores = idrank.scores(CONFIG, params, made, shapes, features)
    said = [nearest._says(CONFIG, params, f"member_{n}", features, None) for n in range(2)]
    assert not np.allclose(said[0], said[1])
    expected = (said[0] + said[1]) / 2
    off = idrank.vertices(made, shapes) - idrank.vertices(made, expected[:, None])
    np.testing.assert_allclose(-scores, jnp.linalg.norm(off, axis=-1).mean(-1), rtol=1e-4)
    # the number of candidates, their order and their company change nothing
    some = idrank.scores(CONFIG, params, made, shapes[:, 4:2:-1], features)
    np.testing.assert_allclose(some, scores[:, 4:2:-1], rtol=1e-5)
    # the expected face itself is the best there is
    best = jnp.concatenate([shapes, expected[:, None]], axis=1)
    assert (idrank.scores(CONFIG, params, made, best, features).argmax(1) == 9).all()


def test_it_reads_the_leading_features_of_a_longer_array(
    made: dict[str, np.ndarray], params: Any
) -> None:
    shapes, features = jax.random.normal(jax.random.key(1), (2, 3, toy.SHAPE)), batch()["features"]
    longer = jnp.concatenate([features[:2], jnp.ones((2, 7))], axis=1)
    scores = idrank.scores(CONFIG, params, made, shapes, features[:2])
    np.testing.assert_array_equal(idrank.scores(CONFIG, params, made, shapes, longer), scores)
    with pytest.raises(ValueError, match=f"takes {toy.FEATURES} features, not 3"):
        idrank.scores(CONFIG, params, made, shapes, features[:2, :3])


def test_it_learns_without_candidates_and_then_chooses_better_than_the_mean(
    made: dict[str, np.ndarray], params: Any
) -> None:
    given, tx = batch(512), optax.adam(1e-2)
    grad = jax.jit(jax.value_and_grad(partial(idrank.loss_fn, CONFIG), has_aux=True))
    learnt, opt = params, tx.init(params)
    values = []
    for step in range(150):
        (value, (metrics, moved)), g = grad(learnt, made, given, jax.random.key(step))
        updates, opt = tx.update(g, opt)
        learnt = optax.apply_updates(learnt, updates)
        values.append(float(value))
    assert set(metrics) == {"loss"} and moved == {}
    assert values[-1] < 0.5 * values[0]
    np.testing.assert_array_equal(learnt["basis"], params["basis"])  # no gradient reaches it
    # candidates that know nothing: nearest to their mean is nearest to the mean face
    fresh = {name: value[:128] for name, value in batch(640).items()}
    candidates = jax.random.normal(jax.random.key(3), (128, 20, toy.SHAPE))
    _, (found, _) = idrank.loss_fn(
        CONFIG, learnt, made, {**fresh, "candidates": candidates}, jax.random.key(0), train=False
    )
    errors = idrank.vertex_errors(made, candidates, fresh["shape"])
    near = idrank.recovered(-jnp.sum(jnp.square(candidates), -1), errors)
    assert found["recovered"] > near + 0.1


def test_an_unknown_choice_is_refused(made: dict[str, np.ndarray]) -> None:
    with pytest.raises(
        ValueError, match="choice 'best' is not known; use one of listwise, nearest"
    ):
        idrank.init({**CONFIG, "choice": "best"}, jax.random.key(0), made)

"""IdRank: geometry in millimetres, and permutations."""

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax import flame
from ofer_jax.tasks import idrank
from tests import toy

CONFIG = toy.model_config("idrank")


def test_vertices_are_those_of_the_head_in_mm() -> None:
    made, shapes = toy.constants("idrank"), toy.arrays()["shape"][:3]
    whole = flame.vertices(toy.head(), shape=jnp.asarray(shapes))[:, toy.REGION[::2]]
    ours = idrank.vertices(made, jnp.asarray(shapes)[:, None])[:, 0]
    np.testing.assert_allclose(ours, 1e3 * whole, atol=1e-2)


def test_scores_move_with_the_candidates_whatever_their_number() -> None:
    made = toy.constants("idrank")
    params = idrank.init(CONFIG, jax.random.key(0), made)
    features = jnp.asarray(toy.arrays()["features"][:2])
    shapes = jax.random.normal(jax.random.key(1), (2, 9, toy.SHAPE))
    order = np.random.default_rng(0).permutation(9)
    scores = idrank.scores(CONFIG, params, made, shapes, features)
    permuted = idrank.scores(CONFIG, params, made, shapes[:, order], features)
    np.testing.assert_allclose(permuted, scores[:, order], atol=1e-4)
    assert idrank.scores(CONFIG, params, made, shapes[:, :4], features).shape == (2, 4)


def test_the_recovered_share_runs_from_the_average_to_the_oracle() -> None:
    errors = jnp.asarray([[1.0, 2.0, 3.0], [4.0, 2.0, 3.0]])
    assert float(idrank.recovered(-errors, errors)) == 1.0
    middle = jnp.asarray([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert abs(float(idrank.recovered(middle, errors))) < 1e-6


def test_the_truth_among_the_candidates_has_no_error() -> None:
    made, shape = toy.constants("idrank"), jnp.asarray(toy.arrays()["shape"][:2])
    candidates = jnp.stack([shape, shape + 1], 1)
    errors = idrank.vertex_errors(made, candidates, shape)
    np.testing.assert_allclose(errors[:, 0], 0, atol=1e-4)
    assert (errors[:, 1] > 0.1).all()

"""Fits to meshes of the open head, of which every seventh vertex is looked at: small and fast."""

import numpy as np
import pytest

from ofer_jax import flame, openhead
from ofer_jax.flame import fit

SUBJECTS, FRAMES = 2, 3
MM = 1e-3


@pytest.fixture(scope="module")
def head() -> flame.FlameModel:
    return flame.load(openhead.head_path())


@pytest.fixture(scope="module")
def weights(head) -> np.ndarray:
    out = np.zeros(head.num_vertices)
    out[::7] = 1
    return out


@pytest.fixture(scope="module")
def true(head) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    n = SUBJECTS * FRAMES
    spread = {"expression": (81, 0.7), "neck": (3, 0.1), "jaw": (3, 0.1), "eyes": (6, 0.2)}
    made = {key: rng.normal(0, scale, (n, size)) for key, (size, scale) in spread.items()}
    made["shape"] = np.repeat(rng.normal(size=(SUBJECTS, head.num_shape)), FRAMES, 0)
    made["global_rotation"] = rng.normal(0, 1, (n, 3))
    return {key: value.astype(np.float32) for key, value in made.items()}


@pytest.fixture(scope="module")
def meshes(head, true) -> np.ndarray:
    away = np.random.default_rng(1).normal(0, 0.5, (SUBJECTS * FRAMES, 1, 3))
    posed = flame.vertices(head, **true) + away
    return np.asarray(posed, np.float32).reshape(SUBJECTS, FRAMES, -1, 3)


@pytest.fixture(scope="module")
def problem(head, weights) -> fit.Problem:
    return fit.prepare(head, weights)


@pytest.fixture(scope="module")
def noisy(meshes) -> np.ndarray:
    """Vertices 0.1 mm from where they belong, root mean square."""
    noise = np.random.default_rng(2).normal(0, 0.1 * MM / np.sqrt(3), meshes.shape)
    return (meshes + noise).astype(np.float32)


@pytest.fixture(scope="module")
def found(problem, noisy) -> fit.Fit:
    return fit.subjects(problem, noisy)


def posed(head, found: fit.Fit) -> np.ndarray:
    """The fitted heads, by the FLAME layer itself."""
    n = found.jaw.shape[0] * found.jaw.shape[1]
    names = ("expression", "global_rotation", "neck", "jaw", "eyes")
    parts = {name: getattr(found, name).reshape(n, -1) for name in names}
    shape = np.repeat(found.shape, found.jaw.shape[1], 0)
    out = flame.vertices(head, shape=shape, **parts) + found.translation.reshape(n, 1, 3)
    return np.asarray(out).reshape(*found.jaw.shape[:2], -1, 3)


def neutral_error(head, found: fit.Fit, true) -> np.ndarray:
    """Mean distance of the neutral head's vertices for each subject, metres."""
    apart = flame.vertices(head, shape=found.shape) - flame.vertices(
        head, shape=true["shape"][::FRAMES]
    )
    return np.linalg.norm(apart, axis=-1).mean(-1)


def test_without_noise_the_mesh_is_found_again(head, weights, meshes):
    settings = fit.Settings(noise=1e-5, neck=3, jaw=3, eyes=3)
    exact = fit.subjects(fit.prepare(head, weights, settings), meshes)
    assert np.max(exact.max_residual) < 0.01 * MM
    assert np.abs(posed(head, exact) - meshes).mean() < 0.01 * MM  # of all vertices


def test_noise_is_seen_through(head, found, true):
    assert np.max(found.mean_residual) < 0.15 * MM
    assert np.max(neutral_error(head, found, true)) < 0.3 * MM


def test_residuals_are_those_of_the_flame_layer(head, weights, found, noisy):
    apart = np.linalg.norm(posed(head, found) - noisy, axis=-1)[..., weights > 0]
    np.testing.assert_allclose(found.mean_residual, apart.mean(-1), atol=1e-6)
    np.testing.assert_allclose(found.max_residual, apart.max(-1), atol=1e-6)


def test_where_the_head_is_changes_nothing_else(problem, noisy, found):
    turn = np.asarray(flame.rotations.rodrigues(np.array([0.5, -1.0, 2.0], np.float32)))
    moved = fit.subjects(problem, noisy @ turn.T + np.array([0.2, -0.1, 0.4], np.float32))
    np.testing.assert_allclose(moved.jaw, found.jaw, atol=1e-3)
    np.testing.assert_allclose(moved.mean_residual, found.mean_residual, atol=2e-6)
    assert np.abs(moved.shape - found.shape).mean() < 0.01


def test_more_frames_make_a_better_shape(head, problem, noisy, found, true):
    alone = np.zeros((SUBJECTS, FRAMES), np.float32)
    alone[:, 0] = 1
    single = fit.subjects(problem, noisy, alone)
    assert neutral_error(head, found, true).mean() < neutral_error(head, single, true).mean()


def test_frames_that_only_fill_a_row_do_not_count(problem, noisy):
    here = np.ones((SUBJECTS, FRAMES), np.float32)
    here[:, 2] = 0
    other = noisy.copy()
    other[:, 2] = noisy[::-1, 1]
    first, second = (fit.subjects(problem, each, here) for each in (noisy, other))
    np.testing.assert_allclose(first.shape, second.shape, atol=1e-4)


def test_vertices_without_weight_are_not_looked_at(problem, weights, noisy, found):
    spoilt = noisy.copy()
    spoilt[:, :, weights == 0] += 1.0
    again = fit.subjects(problem, spoilt)
    np.testing.assert_array_equal(again.shape, found.shape)


def test_frames_of_a_known_shape(head, problem, noisy, true, found):
    again = fit.frames(problem, noisy[0], true["shape"][0])
    assert again.expression.shape == (1, FRAMES, head.num_expression)
    assert np.max(again.mean_residual) < 0.15 * MM
    np.testing.assert_array_equal(again.shape[0], true["shape"][0])
    np.testing.assert_allclose(again.jaw[0], found.jaw[0], atol=0.02)
    apart = np.abs(posed(head, again)[0] - noisy[0])
    assert apart.mean() < 0.15 * MM


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda v: v[:-1], "5022 vertices"),
        (lambda v: np.where(v > v.max() - 1e-6, np.nan, v), "not finite"),
        (lambda v: 1000 * v, "millimetres"),
        (lambda v: 100 * v, "centimetres"),
        (lambda v: 7 * v, "times the size"),
    ],
)
def test_meshes_that_cannot_be_fitted_are_told(head, meshes, spoil, reason):
    assert fit.fault(head, meshes[0, 0]) == ""
    assert reason in fit.fault(head, spoil(meshes[0, 0]))


@pytest.mark.parametrize("weights", [np.zeros(5023), np.ones(5), np.full(5023, np.nan)])
def test_weights_are_checked(head, weights):
    with pytest.raises(ValueError, match="weights"):
        fit.prepare(head, weights)


def test_settings_and_shapes_are_checked(problem):
    with pytest.raises(ValueError, match="above 0"):
        fit.Settings(noise=0.0)
    with pytest.raises(ValueError, match=r"\[N, F, V, 3\]"):
        fit.subjects(problem, np.zeros((2, 5023, 3)))

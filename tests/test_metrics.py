"""Rigid alignment against the SVD, calibration of a known posterior, bootstrap of a known mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import metrics


def random_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    """Uniform over the rotations, [count, 3, 3], float64."""
    q, r = np.linalg.qr(rng.normal(size=(count, 3, 3)))
    q = q * np.sign(np.einsum("bii->bi", r))[:, None]
    return q * np.sign(np.linalg.det(q))[:, None, None]


def clouds(rng: np.random.Generator, count: int, points: int = 50) -> np.ndarray:
    """Face-sized point clouds (metres), flatter in depth."""
    return (rng.normal(size=(count, points, 3)) * [0.06, 0.08, 0.03]).astype(np.float32)


def kabsch(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The textbook SVD solution in float64, one pair."""
    x, y = source.astype(np.float64), target.astype(np.float64)
    x0, y0 = x - x.mean(0), y - y.mean(0)
    u, _, vt = np.linalg.svd(x0.T @ y0)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    return x0 @ (u @ flip @ vt) + y.mean(0)


def test_rigid_align_agrees_with_the_svd(rng: np.random.Generator) -> None:
    source = clouds(rng, 64)
    turned = np.einsum("bnj,bij->bni", source, random_rotations(rng, 64))
    target = (turned + 0.005 * rng.normal(size=source.shape) + rng.normal(size=(64, 1, 3))).astype(
        np.float32
    )
    found = metrics.rigid_align(jnp.asarray(source), jnp.asarray(target))
    wanted = np.stack([kabsch(s, t) for s, t in zip(source, target, strict=True)])
    np.testing.assert_allclose(found, wanted, atol=2e-6)


def test_rigid_align_never_mirrors(rng: np.random.Generator) -> None:
    source = clouds(rng, 8)
    mirrored = source * np.array([-1, 1, 1], np.float32)
    found = metrics.rigid_align(jnp.asarray(source), jnp.asarray(mirrored))
    wanted = np.stack([kabsch(s, t) for s, t in zip(source, mirrored, strict=True)])
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert float(metrics.vertex_error(jnp.asarray(source), jnp.asarray(mirrored)).min()) > 0.005


def test_vertex_error_ignores_rigid_motion_but_not_scale(rng: np.random.Generator) -> None:
    truth = clouds(rng, 16)
    predicted = truth + 0.002 * rng.normal(size=truth.shape).astype(np.float32)
    moved = np.einsum("bnj,bij->bni", predicted, random_rotations(rng, 16)) + rng.normal(
        size=(16, 1, 3)
    )
    still = metrics.vertex_error(jnp.asarray(predicted), jnp.asarray(truth))
    again = metrics.vertex_error(jnp.asarray(moved, jnp.float32), jnp.asarray(truth))
    np.testing.assert_allclose(still, again, atol=2e-6)
    larger = metrics.vertex_error(jnp.asarray(1.1 * truth), jnp.asarray(truth))
    assert float(larger.min()) > 0.005
    exact = metrics.vertex_error(jnp.asarray(truth), jnp.asarray(truth))
    assert float(exact.max()) < 1e-6


def test_rigid_align_refuses_unequal_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4, 3\)"):
        metrics.rigid_align(jnp.zeros((2, 4, 3)), jnp.zeros((1, 4, 3)))


def posterior(
    rng: np.random.Generator, faces: int, samples: int, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """Truths [B, N, 3], and samples [B, K, N, 3] whose spread is `width` times the right one."""
    base = clouds(rng, 1, 80)
    modes = 0.002 * rng.normal(size=(12, 80, 3))
    centre = base + np.einsum("bm,mnc->bnc", rng.normal(size=(faces, 12)), modes)
    truth = centre + np.einsum("bm,mnc->bnc", rng.normal(size=(faces, 12)), modes)
    drawn = rng.normal(size=(faces, samples, 12))
    sampled = centre[:, None] + width * np.einsum("bkm,mnc->bknc", drawn, modes)
    return truth.astype(np.float32), sampled.astype(np.float32)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_calibration_of_a_known_posterior(rng: np.random.Generator, width: float) -> None:
    truth, samples = (jnp.asarray(a) for a in posterior(rng, 400, 20, width))
    mean = samples.mean(1)
    found = metrics.spread(metrics.align_to(samples, mean), mean, truth)
    expected = width**2 / (1 + width**2 / 20)  # the mean of 20 samples is itself off by a 20th
    assert float(found.spread.sum() / found.miss.sum()) == pytest.approx(expected, rel=0.08)


def test_medoid_is_the_most_central_sample(rng: np.random.Generator) -> None:
    samples = clouds(rng, 1)[:, None] + 0.002 * rng.normal(size=(3, 9, 50, 3)).astype(np.float32)
    flat = samples.reshape(3, 9, -1)
    gaps = np.linalg.norm(flat[:, :, None] - flat[:, None], axis=-1).sum(-1)
    np.testing.assert_array_equal(metrics.medoid(jnp.asarray(samples)), gaps.argmin(1))


def test_recovered_gap_is_one_for_the_best_and_zero_for_chance() -> None:
    assert metrics.recovered_gap(*np.array([4.0, 3.0, 3.0])) == 1
    assert metrics.recovered_gap(*np.array([4.0, 4.0, 3.0])) == 0


def test_bootstrap_interval_of_a_mean(rng: np.random.Generator) -> None:
    values = rng.normal(3.0, 1.0, size=500)
    weights = metrics.resamples(np.arange(500), seed=1, rounds=2000)
    found = metrics.estimate(lambda s: s["x"] / s["n"], {"x": values, "n": np.ones(500)}, weights)
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 / np.sqrt(500), rel=0.12)
    again = metrics.resamples(np.arange(500), seed=1, rounds=2000)
    np.testing.assert_array_equal(weights, again)


def test_bootstrap_keeps_a_face_with_all_its_pictures() -> None:
    subject = np.array([7, 7, 9, 9, 9, 4])
    weights = metrics.resamples(subject, rounds=50)
    assert weights.shape == (51, 6)
    for same in ((0, 1), (2, 3, 4)):
        assert (np.ptp(weights[:, list(same)], axis=1) == 0).all()
    np.testing.assert_array_equal(weights[:, [0, 2, 5]].sum(1), 3)


def test_the_same_under_jit_and_vmap(rng: np.random.Generator) -> None:
    source, target = (jnp.asarray(clouds(rng, 6)) for _ in range(2))
    plain = metrics.vertex_error(source, target)
    np.testing.assert_allclose(jax.jit(metrics.vertex_error)(source, target), plain, atol=1e-7)
    np.testing.assert_allclose(jax.vmap(metrics.vertex_error)(source, target), plain, atol=1e-7)

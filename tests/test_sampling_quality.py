"""The measure of a sampler: nothing for equal distributions, and what differs is seen."""

import numpy as np
import pytest

from ofer_jax import sampling_quality

FACES, SAMPLES, SIZE = 20, 800, 6


def drawn(seed: int, scale: np.ndarray | float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Sets of Gaussians of falling width, each face about a mean of its own."""
    widths = np.linspace(1.5, 0.5, SIZE)
    means = np.random.default_rng(0).normal(size=(FACES, 1, SIZE))
    noise = np.random.default_rng(seed).normal(size=(FACES, SAMPLES, SIZE))
    return (means + shift + noise * widths * scale).astype(np.float32)


@pytest.fixture(scope="module")
def reference() -> tuple[np.ndarray, np.ndarray]:
    return drawn(1), drawn(2)


def test_the_distance_is_that_of_its_definition() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)

    def mean(a: np.ndarray, b: np.ndarray, pairs: int) -> float:
        return np.linalg.norm(a[:, None] - b[None], axis=-1).sum() / pairs

    expected = 2 * mean(x, y, 25) - mean(x, x, 20) - mean(y, y, 20)
    assert float(sampling_quality.energy_distance(x, y)) == pytest.approx(expected, abs=1e-5)


def test_the_modes_are_the_directions_of_the_widest_deviations(
    reference: tuple[np.ndarray, np.ndarray],
) -> None:
    modes = sampling_quality.leading(*reference)
    assert modes.shape == (SIZE, sampling_quality.MODES)
    np.testing.assert_allclose(np.abs(np.diag(modes)), 1.0, atol=0.05)


def test_an_equal_sampler_passes(reference: tuple[np.ndarray, np.ndarray]) -> None:
    found = sampling_quality.report(sampling_quality.compare(drawn(3), reference))
    assert found["passes"]
    assert found["floor"]["low"] < 0 < found["floor"]["high"]
    assert set(found["spread"]) == {"overall", *(f"mode {n}" for n in range(1, 6))}
    for each in found["spread"].values():
        assert each["low"] < each["value"] < each["high"]


@pytest.mark.parametrize(("scale", "shift"), [(1.1, 0.0), (0.9, 0.0), (1.0, 0.3)])
def test_another_width_or_mean_is_found(
    reference: tuple[np.ndarray, np.ndarray], scale: float, shift: float
) -> None:
    compared = sampling_quality.compare(drawn(3, scale, shift), reference)
    found = sampling_quality.report(compared)
    assert not found["passes"]
    assert found["spread"]["overall"]["value"] == pytest.approx(scale, rel=0.02)
    assert found["distance"]["value"] > found["floor"]["high"]


def test_one_mode_of_another_width_is_found(reference: tuple[np.ndarray, np.ndarray]) -> None:
    scale = np.where(np.arange(SIZE) == 1, 1.15, 1.0)
    found = sampling_quality.report(sampling_quality.compare(drawn(3, scale), reference))
    assert found["spread"]["mode 2"]["value"] == pytest.approx(1.15, rel=0.03)
    assert found["spread"]["mode 1"]["value"] == pytest.approx(1.0, rel=0.03)
    assert not found["passes"]


def test_the_table_has_a_line_for_each_report(reference: tuple[np.ndarray, np.ndarray]) -> None:
    made = sampling_quality.report(sampling_quality.compare(drawn(3), reference))
    rows = [{"task": "idgen", "sampler": "dpm3", "steps": n, **made} for n in (10, 20)]
    lines = sampling_quality.table(rows).splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("| idgen | dpm3 | 20 | ")
    assert lines[3].endswith(" | yes |")
    assert len({line.count("|") for line in lines}) == 1

"""Area under the curve and spread of made-up answers."""

import numpy as np
import pytest

from ofer_jax.photo_checks import consistency, report

VERTICES = 20


@pytest.fixture
def faces(rng: np.random.Generator) -> np.ndarray:
    """Six different faces, metres."""
    common = 0.05 * rng.standard_normal((1, VERTICES, 3))
    return (common + 0.003 * rng.standard_normal((6, VERTICES, 3))).astype(np.float32)


def turned(faces: np.ndarray) -> np.ndarray:
    """The same faces elsewhere, a quarter turn about y."""
    return (faces @ np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float32)) + np.float32(0.1)


def measure(faces: np.ndarray, changed: dict, heads: np.ndarray) -> dict:
    return consistency.measure(faces, changed, heads, rounds=50)


def test_a_perfect_answer_has_area_1_and_the_heads_spread(faces: np.ndarray) -> None:
    found = measure(faces, {"mirrored": turned(faces), "dimmed": faces}, turned(faces))
    assert found["area"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["spread"]["value"] == pytest.approx(1, abs=1e-4)
    assert found["variants"]["mirrored"]["first"] == 1
    assert found["variants"]["mirrored"]["same_mm"] == pytest.approx(0, abs=1e-3)
    assert found["heads_mm"] == pytest.approx(found["variants"]["dimmed"]["other_mm"], rel=1e-4)


def test_a_constant_answer_shows_as_spread_0(faces: np.ndarray) -> None:
    constant = np.repeat(faces[:1], 6, axis=0)
    found = measure(constant, {"dimmed": constant}, faces)
    assert found["spread"]["value"] == pytest.approx(0, abs=1e-3)
    assert found["area"]["value"] == pytest.approx(0.5, abs=0.01)


def test_answers_for_a_neighbour_have_a_small_area(faces: np.ndarray) -> None:
    found = measure(faces, {"dimmed": np.roll(faces, 1, axis=0)}, faces)
    assert found["variants"]["dimmed"]["first"] == 0
    assert found["area"]["value"] < 0.7


def test_a_lost_face_is_counted_and_left_out(faces: np.ndarray) -> None:
    lost = faces.copy()
    lost[2] = np.nan
    found = measure(faces, {"dimmed": lost}, faces)
    assert found["variants"]["dimmed"]["lost"] == 1
    assert found["area"]["value"] == 1
    assert np.isnan(found["same_mm"]["dimmed"]).tolist() == [i == 2 for i in range(6)]


def test_area_by_hand() -> None:
    """Same .2 and .6; others .4 and .6: three of four pairs are in order, one is a tie by half."""
    table = np.array([[0.2, 0.4], [0.6, 0.6]])
    assert consistency.areas([table], np.ones((1, 2))).tolist() == [(1 + 1 + 0 + 0.5) / 4]
    # A photograph drawn twice: its own pair weighs twice, those between both by the product.
    weights = np.array([[2.0, 1.0]])
    assert consistency.areas([table], weights) == pytest.approx((2 * 2 * 2 + 1 * 2 * 0.5) / 12)


def test_two_photographs_are_too_few(faces: np.ndarray) -> None:
    with pytest.raises(ValueError, match="3 photographs"):
        measure(faces[:2], {"dimmed": faces[:2]}, faces)


def test_the_table_has_a_row_for_each_variant(faces: np.ndarray) -> None:
    own = measure(faces, {"mirrored": faces, "dimmed": faces}, faces)
    head = {"name": "open-head-1", "sha256": "a" * 64}
    found = {"head": head, "bundle": "b" * 64, "samples": 5, "expressions": 2, "seed": 0}
    found |= {"photographs": ["a"] * 6, "no face": ["b"], "reprojection": {"photographs": 0}}
    text = report.table(found | {"consistency": {"mean": own, "ranked": own}})
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in rows}) == 1
    assert "6 photographs, 1 more without a face" in text
    assert "| ranked: mirrored " in text and "artist" in text

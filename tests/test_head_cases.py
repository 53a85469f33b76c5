"""Which heads are shown, that they are drawn again as they were measured, and what is drawn."""

import base64
import io
import json
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from ofer_jax import evaluate, head_cases
from ofer_jax.bundle import Bundle
from ofer_jax.head_cases import Shapes
from tests import toy

SURFACE = {"region_face": toy.REGION, "region_front": toy.REGION}
SIZES = {"samples": 6, "seed": 3, "batch": 3}


def made_up_figures(ratios: list[float]) -> dict[str, np.ndarray]:
    ones = np.ones(len(ratios))
    return {
        "ranked": 0.002 * np.array(ratios),
        "mean face": 0.002 * ones,
        "mean of the samples": 0.001 * ones,
        "oracle": 0.0005 * ones,
    }


def test_the_most_extreme_heads_are_chosen_and_none_twice() -> None:
    figures = {
        "clean": made_up_figures([0.5, 0.4, 0.9, 0.8, 0.7]),
        "occluded": made_up_figures([0.3, 1.5, 1.4, 0.6, 0.65]),
    }
    found = head_cases.choose(figures, np.array([0, 1, 2, 2, 4]), 2)
    best = [(case.row, case.side, case.ratio) for case in found["best"]]
    assert best == [(0, "occluded", pytest.approx(0.3)), (1, "clean", pytest.approx(0.4))]
    worst = [(case.row, case.side) for case in found["worst"]]
    assert worst == [(2, "occluded"), (4, "clean")]  # head 1 is taken, and 2 is not told twice
    assert found["worst"][0].mm["ranked"] == pytest.approx(2.8)


def test_few_heads_are_shared_out() -> None:
    figures = {"clean": made_up_figures([0.5, 0.4, 0.9])}
    found = head_cases.choose(figures, np.arange(3), 6)
    assert {name: [c.row for c in cases] for name, cases in found.items()} == {
        "best": [1],
        "worst": [2],
    }
    assert head_cases.choose({"clean": made_up_figures([0.5])}, np.arange(1), 6) == {
        "best": [],
        "worst": [],
    }


# ---------------------------------------------------------------- a whole run


@pytest.fixture(scope="module")
def measured() -> tuple[Bundle, dict[str, Any], dict[str, Any]]:
    """A toy bundle, six toy heads and their figures."""
    head = toy.head()
    bundle = toy.random_bundle(jax.random.key(0), head, toy.FEATURES, toy.REGION, toy.REGION)
    arrays = {k: v[:6] for k, v in toy.arrays().items() if k in evaluate.TRUTH}
    rng = np.random.default_rng(0)
    pictures = (f"features_{side}" for side in evaluate.SIDES)
    arrays |= {name: rng.normal(size=(6, toy.FEATURES)) for name in pictures}
    figures = evaluate.evaluate(bundle, head, SURFACE, arrays, expressions=1, **SIZES)
    return bundle, arrays | {"subject": 10 + np.arange(6)}, figures


def test_samples_are_drawn_again_as_they_were_measured(measured: tuple) -> None:
    bundle, arrays, figures = measured
    head = toy.head()
    groups = head_cases.choose(figures, arrays["subject"], 2)
    cases = [*groups["best"], *groups["worst"]]
    shapes = head_cases.again(bundle, head, SURFACE, arrays, cases, **SIZES)
    assert len(shapes) == 4
    for case, heads in zip(cases, shapes, strict=True):
        np.testing.assert_array_equal(heads.truth, arrays["shape"][case.row])
        named = {"ranked": heads.ranked, "mean of the samples": heads.mean, "oracle": heads.oracle}
        for name, shape in named.items():
            errors = head_cases._errors(head, toy.REGION, shape[None], heads.truth)
            assert 1e3 * errors[0] == pytest.approx(case.mm[name], rel=1e-3), name
        off = head_cases.distances(head, toy.REGION, heads)
        assert off.mean() == pytest.approx(case.mm["ranked"], rel=1e-3)


def test_the_report_is_json_with_pictures(measured: tuple) -> None:
    bundle, arrays, figures = measured
    asked: list[set[int]] = []

    def look(rows: set[int]) -> dict[int, dict[str, np.ndarray]]:
        asked.append(rows)
        plain = {"clean": np.full((32, 32, 3), 250, np.uint8)}
        hidden = {"occluded": np.full((32, 32, 3), 5, np.uint8)}
        return dict.fromkeys(rows, plain | hidden)

    given = (bundle, toy.head(), SURFACE, arrays | {"occluder": np.array(["hat"] * 6)}, figures)
    found = head_cases.run(*given, look, count=2, **SIZES)
    assert json.loads(json.dumps(found)) == found
    every = [*found["best"], *found["worst"]]
    assert asked == [{case["row"] for case in every}] and len(asked[0]) == 4
    for case in every:
        assert case["subject"] == 10 + case["row"] and case["occluder"] == "hat"
        seen = picture(case, "seen")
        assert abs(seen.mean() - (250 if case["side"] == "clean" else 5)) < 3
        for name in ("truth", "ranked", "mean of the samples", "oracle", "error"):
            drawn = picture(case, name)
            assert drawn.shape == (head_cases.SIDE, head_cases.SIDE, 4)
            assert drawn[..., 3].max() == 255 and drawn[..., 3].min() == 0  # a head on nothing


def picture(case: dict[str, Any], name: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(case["pictures"][name]))))


def test_features_are_read_by_row_and_side_from_any_container() -> None:
    """Crops are no arrays: they are read by an array of rows, and there may be several."""
    clean = {"small": np.arange(4.0)[:, None], "large": np.arange(4.0)[:, None] + 10}
    arrays = {"features_clean": clean, "features_occluded": {n: -a for n, a in clean.items()}}
    cases = [head_cases.Case(2, "clean", 1.0, {}), head_cases.Case(1, "occluded", 1.0, {})]
    found = head_cases.seen(arrays, cases)
    assert found["small"].tolist() == [[2], [-1]] and found["large"].tolist() == [[12], [-11]]
    plain = {side: group["small"] for side, group in arrays.items()}
    assert head_cases.seen(plain, cases).tolist() == [[2], [-1]]


def test_the_true_head_has_no_error() -> None:
    shape = np.random.default_rng(0).normal(size=toy.SHAPE).astype(np.float32)
    same = Shapes(shape, shape, shape, shape)
    assert head_cases.distances(toy.head(), toy.REGION, same).max() < 1e-3

"""Figures of made-up samples, of a toy bundle, and the report of both."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import evaluate
from ofer_jax import occluded_expressions as protocol
from ofer_jax.occluded_expressions import figures, plausibility, report
from tests import toy

REGIONS = {"region_face": toy.REGION, "region_front": toy.REGION}


@pytest.fixture(scope="module")
def exact() -> dict[str, np.ndarray]:
    """300 pictures whose truth is drawn as their 39 samples are: 40 vertices, 1 mm about a mean."""
    rng = np.random.default_rng(0)
    mean = 0.1 * rng.standard_normal((300, 1, 40, 3))
    drawn = mean + 0.001 * rng.standard_normal((300, 40, 40, 3))
    samples, truth = drawn[:, :39], drawn[:, 39]
    given = (samples, mean[:, 0], truth)
    found = jax.jit(figures.of_samples)(*(jnp.asarray(a, jnp.float32) for a in given))
    return {name: np.asarray(value) for name, value in found.items()}


def test_an_exact_gaussian_is_covered_as_it_says(exact: dict[str, np.ndarray]) -> None:
    assert exact["in 50"].mean() == pytest.approx(0.5, abs=0.01)
    assert exact["in 90"].mean() == pytest.approx(0.9, abs=0.01)
    assert exact["spread"].sum() / exact["miss"].sum() == pytest.approx(1, abs=0.03)


def test_ranks_are_covered_exactly_for_any_number_of_samples() -> None:
    for count in (2, 9, 100):
        ranks = jnp.arange(count + 1)
        for share in (0.5, 0.9):
            inside = figures._central(ranks, count, share)
            assert float(inside.mean()) == pytest.approx(share, rel=1e-5)
            np.testing.assert_allclose(inside, inside[::-1], atol=1e-5)
            assert inside[0] < inside[count // 2]


def test_errors_of_an_exact_gaussian(exact: dict[str, np.ndarray]) -> None:
    """A sample is sqrt(2) farther from the truth than their mean is."""
    assert exact["all"].mean() / exact["mean"].mean() == pytest.approx(2**0.5, rel=0.02)
    assert (exact["closest"].mean(1) <= exact["all"].mean(1)).all()


def test_samples_that_are_all_the_truth_have_no_error_and_no_spread() -> None:
    truth = 0.1 * jax.random.normal(jax.random.key(0), (2, 40, 3))
    samples = jnp.broadcast_to(truth[:, None], (2, 25, 40, 3))
    found = figures.of_samples(samples, truth, truth)
    for name in ("closest", "all", "mean"):
        np.testing.assert_allclose(found[name], 0, atol=1e-6)
    np.testing.assert_allclose(found["spread"], 0, atol=1e-10)


# ---------------------------------------------------------------- a whole run


@pytest.fixture(scope="module")
def run() -> tuple[protocol.Measured, dict, dict]:
    """(measured, the same heads by `evaluate`, about) of five toy heads."""
    head = toy.head()
    bundle = toy.random_bundle(jax.random.key(0), head, toy.FEATURES, toy.REGION, toy.REGION)
    known = toy.arrays()
    arrays = {k: v[:5] for k, v in known.items() if k in evaluate.TRUTH}
    rng = np.random.default_rng(0)
    pictures = (f"features_{side}" for side in evaluate.SIDES)
    arrays |= {name: rng.normal(size=(5, toy.FEATURES)) for name in pictures}
    groups = np.tile(np.repeat([0, 1, 2], [5, 20, 5]), (5, 1))
    groups[0] = 0  # a picture in which nothing is hidden
    judge = plausibility.Judge(known, 6)
    given = (bundle, head, REGIONS, arrays)
    found = protocol.measure(*given, groups, samples=20, batch=3, distance=judge)
    whole = evaluate.evaluate(*given, samples=20, expressions=20, batch=3)
    about = {"head": bundle.config["head"], "bundle": "b" * 64, "seed": 0, "samples": 20}
    return found, whole, about | {"protocol": protocol.NAME}


def test_the_face_is_measured_as_in_the_table(run: tuple) -> None:
    found, whole, _ = run
    face = found.groups.index("face")
    for side in evaluate.SIDES:
        for kind, names in (
            ("identity", {"closest": "oracle", "all": "average sample", "mean face": "mean face"}),
            (
                "expression",
                {"closest": "expression/closest", "mean face": "expression/neutral face"},
            ),
        ):
            sums = found.figures[side][kind]
            for own, other in names.items():
                value = sums[own][:, face] / sums["count"][:, face]
                np.testing.assert_allclose(value, whole[side][other], rtol=2e-3, err_msg=own)
        spread = found.figures[side]["identity"]["spread"][:, face]
        np.testing.assert_allclose(spread, whole[side]["spread"], rtol=2e-3)


def test_groups_add_up_to_the_face(run: tuple) -> None:
    found, _, _ = run
    sums = found.figures["occluded"]["whole"]
    for name, values in sums.items():
        for parts in (values[:, :3], values[:, 4:]):
            np.testing.assert_allclose(parts.sum(1), values[:, 3], rtol=1e-4, err_msg=name)
    assert sums["count"][0].tolist()[:3] == [30, 0, 0]
    assert sums["count"][1].tolist()[:3] == [5, 20, 5]


def test_report_and_table(run: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _, about = run
    monkeypatch.setattr(report, "ENOUGH", 5)
    truth = {"shape": np.linspace(0, 100, 5), "expression": np.full(5, 50.0)}
    made = report.report(found, subject=np.arange(5), about=about, truth=truth, rounds=20)
    assert made["growth"]["whole"]["pictures"] == 4  # the fifth hides nothing
    assert made["plausibility"]["truth"]["shape"]["mean"]["value"] == pytest.approx(50)
    text = report.table(made)
    for row in ("clean: hidden", "occluded: away", "occluded: mouth", "truth: shape"):
        assert f"| {row} " in text
    assert text.startswith("OOX-1, toy") and "artist" not in text


def test_growth_counts_pictures_that_widen_where_they_are_hidden(run: tuple) -> None:
    found, _, _ = run
    hidden = found.groups.index("hidden")
    sides = {}
    for side, factor in (("clean", 1.0), ("occluded", 4.0)):
        sums = {"count": np.full((4, len(found.groups)), 50.0)}
        sums["spread"] = np.ones((4, len(found.groups)))
        sums["spread"][:3, hidden] *= factor
        sides[side] = {"whole": sums}
    made = report._growth(found._replace(figures=sides), "whole", np.ones((3, 4)))
    assert made["pictures"] == 4
    assert made["share"]["value"] == 0.75
    assert (made["visible"], made["hidden"]) == (1, 2)


@pytest.mark.parametrize(
    ("samples", "rows", "message"), [(1, 5, "at least 2"), (20, 4, "groups are")]
)
def test_measure_refuses_what_does_not_fit(samples: int, rows: int, message: str) -> None:
    head = toy.head()
    bundle = toy.random_bundle(jax.random.key(0), head, toy.FEATURES, toy.REGION, toy.REGION)
    arrays = {"shape": np.zeros((5, 12))}
    groups = np.zeros((rows, 30), np.int8)
    with pytest.raises(ValueError, match=message):
        protocol.measure(bundle, head, REGIONS, arrays, groups, samples=samples)


def test_plausibility_of_the_reference_is_even(rng: np.random.Generator) -> None:
    mixed = rng.standard_normal((4000, 5)) @ rng.standard_normal((5, 5)) + 3
    found = plausibility.reference(mixed[:2000])
    fresh = found.percentile(mixed[2000:])
    assert fresh.mean() == pytest.approx(50, abs=3)
    assert (fresh > 90).mean() == pytest.approx(0.1, abs=0.03)
    assert found.percentile(mixed[:2000].mean(0)) == 0
    assert found.percentile(mixed[:1] * 100) == 100
    with pytest.raises(ValueError, match="tell no distribution"):
        plausibility.reference(mixed[:9])

"""Choices among samples, NDCG by hand, and a whole run on a toy bundle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import evaluate, ranking, ranking_report
from ofer_jax.bundle import Bundle
from tests import toy

REGIONS = {"region_face": np.arange(20), "region_front": toy.REGION}


def test_ndcg_by_hand() -> None:
    """Errors 1, 2, 3: gains 1, .5, 0; discounts 1, 1 / log2 3, 1 / 2."""
    errors = jnp.array([[2.0, 1.0, 3.0]])
    ideal = 1 + 0.5 / np.log2(3)
    found = ranking.ndcg(jnp.array([[3.0, 2.0, 1.0]]), errors)  # the order .5, 1, 0
    assert float(found[0]) == pytest.approx((0.5 + 1 / np.log2(3)) / ideal)
    assert float(ranking.ndcg(-errors, errors)[0]) == pytest.approx(1)
    worst = float(ranking.ndcg(errors, errors)[0])
    assert worst == pytest.approx((0.5 / np.log2(3) + 1 / 2) / ideal)
    discounts = 1 + 1 / np.log2(3) + 1 / 2
    assert float(ranking.chance(errors)[0]) == pytest.approx(0.5 * discounts / ideal)


def test_ndcg_of_equal_samples_is_1() -> None:
    alike = jnp.ones((2, 4))
    assert ranking.ndcg(jnp.arange(8.0).reshape(2, 4), alike).tolist() == [1, 1]


def test_choices_take_the_sample_they_name(rng: np.random.Generator) -> None:
    base = rng.standard_normal((2, 1, 10, 3))
    samples = jnp.asarray(base + 0.1 * rng.standard_normal((2, 5, 10, 3)), jnp.float32)
    mean = samples[:, 3]
    errors = jnp.array([[3.0, 1.0, 2.0, 5.0, 4.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    scores = jnp.array([[0.0, 9.0, 0.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0, 0.0]])
    both = {"ranked": scores, "ranked by b": jnp.flip(scores, axis=1)}
    found = ranking.choices(samples, mean, both, errors)
    assert found["nearest to the mean"].tolist() == [5, 4]
    assert found["ranked"].tolist() == [1, 2] and found["oracle"].tolist() == [1, 1]
    assert found["top1/ranked"].tolist() == [1, 0] and found["ranked by b"].tolist() == [5, 4]
    assert found["random"].tolist() == [3, 1] and found["average sample"].tolist() == [3, 3]
    np.testing.assert_allclose(found["top1/random"], 0.2, rtol=1e-6)


def toy_bundle(seed: int = 0) -> Bundle:
    key = jax.random.key(seed)
    return toy.random_bundle(key, toy.head(), toy.FEATURES, np.arange(20), toy.REGION)


def toy_arrays() -> dict:
    """Four made-up heads, clean and occluded."""
    arrays = {k: v[:4] for k, v in toy.arrays().items() if k in evaluate.TRUTH}
    rng = np.random.default_rng(0)
    pictures = (f"features_{side}" for side in evaluate.SIDES)
    return arrays | {name: rng.normal(size=(4, toy.FEATURES)) for name in pictures}


@pytest.fixture(scope="module")
def run() -> tuple[dict, dict, dict]:
    """Figures of four toy heads for 3 and 6 samples; those of `evaluate` for 6."""
    head, bundle, arrays = toy.head(), toy_bundle(), toy_arrays()
    found = ranking.measure(bundle, head, REGIONS, arrays, sizes=(6, 3), batch=3)
    whole = evaluate.evaluate(bundle, head, REGIONS, arrays, samples=6, expressions=1, batch=3)
    return found, whole, bundle.config["head"]


def test_errors_are_those_of_the_table(run: tuple[dict, dict, dict]) -> None:
    found, whole, _ = run
    for side in evaluate.SIDES:
        assert list(found[side]) == [3, 6]
        for name in ranking.ROWS:
            if name != "random":
                own, other = found[side][6][name], whole[side][name]
                np.testing.assert_allclose(own, other, rtol=1e-3, err_msg=name)


def test_report_and_table(run: tuple[dict, dict, dict]) -> None:
    found, whole, head = run
    about = {"head": head, "bundle": "b" * 64, "seed": 0}
    report = ranking_report.report(found, subject=np.arange(4), about=about, rounds=20)
    six = report["clean"]["6"]
    sums = {name: whole["clean"][name].sum() for name in ("average sample", "oracle", "ranked")}
    share = (sums["average sample"] - sums["ranked"]) / (sums["average sample"] - sums["oracle"])
    assert six["share"]["ranked"]["value"] == pytest.approx(share, abs=2e-3)
    difference = six["share"]["ranked"]["value"] - six["share"][ranking_report.BASE]["value"]
    assert six["share"][ranking_report.DIFFERENCE]["value"] == pytest.approx(difference)
    text = ranking_report.table(report)
    assert "| clean, N = 6 " in text and "| N = 3 " in text and "| oracle " in text
    assert "artist" not in text  # that is said of the open head alone


def test_other_rankers_order_the_same_samples(run: tuple[dict, dict, dict]) -> None:
    """The bundle itself makes no difference; another one has its own order of the same lists."""
    against = {"itself": toy_bundle(), "another": toy_bundle(1)}
    sizes = {"sizes": (6,), "batch": 3}
    found = ranking.measure(
        toy_bundle(), toy.head(), REGIONS, toy_arrays(), against=against, **sizes
    )
    for side in evaluate.SIDES:
        six = found[side][6]
        for part in ("", "ndcg/", "top1/"):
            own, other = six[f"{part}ranked"], six[f"{part}ranked by itself"]
            np.testing.assert_array_equal(own, other)
        assert (six["ndcg/ranked by another"] != six["ndcg/ranked"]).any()
        np.testing.assert_allclose(six["oracle"], run[0][side][6]["oracle"], rtol=1e-6)

    about = {"head": run[2], "bundle": "b" * 64, "seed": 0, "against": {"another": "c" * 64}}
    report = ranking_report.report(found, subject=np.arange(4), about=about, rounds=20)
    six = report["clean"]["6"]
    none = {"value": 0, "low": 0, "high": 0}
    assert six["share"]["ranked - ranked by itself"] == none
    shares = [six["share"][name]["value"] for name in ("ranked", "ranked by another")]
    difference = six["share"]["ranked - ranked by another"]["value"]
    assert difference == pytest.approx(shares[0] - shares[1])
    rows = ["ranked", "ranked by another", "ranked by itself", "oracle"]
    assert list(six["mm"])[-4:] == rows
    lines = ranking_report.table(report).splitlines()
    assert "against another (cccccccccccc)" in lines[0]
    for name in ("ranked by another", "ranked - ranked by another"):
        (row,) = [line for line in lines if line.startswith(f"| {name} ")][:1]
        assert f"{six['share'][name]['value']:.3f}" in row
        assert any(line.startswith("| clean, share") and f"| {name} " in line for line in lines)


def test_a_ranker_that_does_not_fit_the_lists_is_refused() -> None:
    def measure(other: Bundle) -> None:
        ranking.measure(toy_bundle(), toy.head(), REGIONS, toy_arrays(), against={"b": other})

    foreign, pictures, wider = toy_bundle(), toy_bundle(), toy_bundle()
    foreign.config["head"] = {"name": "another", "sha256": "1" * 64}
    pictures.config["tasks"]["idrank"]["features"] = {"name": "crops"}
    wider.config["tasks"]["idrank"]["features"] = {"name": "open+map", "size": 99}
    with pytest.raises(ValueError, match=r"^bundle b: trained on head 'another'") as caught:
        measure(foreign)
    assert "\n" not in str(caught.value)
    for other, name in ((pictures, "crops"), (wider, r"open\+map")):
        with pytest.raises(ValueError, match=f"bundle b: its ranker reads features '{name}'"):
            measure(other)
    own = toy_bundle()
    own.config["projection"], foreign = "a" * 64, toy_bundle()
    foreign.config["projection"] = "b" * 64
    with pytest.raises(ValueError, match="another projection"):
        ranking.measure(own, toy.head(), REGIONS, toy_arrays(), against={"b": foreign})


def test_measure_refuses_what_does_not_fit() -> None:
    head, bundle = toy.head(), toy_bundle()
    with pytest.raises(ValueError, match="lacks features_clean"):
        ranking.measure(bundle, head, REGIONS, {"shape": np.zeros((1, 3))})
    three = {name: np.zeros((1, 3)) for name in ("shape", "features_clean", "features_occluded")}
    with pytest.raises(ValueError, match="2 or more"):
        ranking.measure(bundle, head, REGIONS, three, sizes=(1, 5))

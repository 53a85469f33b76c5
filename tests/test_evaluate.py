"""The evaluation on a made-up head whose posterior is known, and on a tiny untrained bundle."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import evaluate, flame, metrics, quality
from ofer_jax.bundle import Bundle
from ofer_jax.flame import FlameModel
from ofer_jax.tasks import conditioning
from tests import toy

SHAPE, EXPRESSION = toy.SHAPE, toy.EXPRESSION
REGION = np.arange(10, 36)
REGIONS = {"region_face": REGION, "region_front": toy.REGION}


@pytest.fixture(scope="module")
def head() -> FlameModel:
    """The toy head with skinning that tells its vertices apart."""
    rng = np.random.default_rng(3)
    head = toy.head()

    def shares(rows: int, columns: int) -> jax.Array:
        x = rng.uniform(size=(rows, columns))
        return jnp.asarray(x / x.sum(-1, keepdims=True), jnp.float32)

    return dataclasses.replace(
        head,
        J_regressor=shares(5, head.num_vertices),
        lbs_weights=shares(head.num_vertices, 5),
        posedirs=jnp.asarray(0.001 * rng.normal(size=head.posedirs.shape), jnp.float32),
    )


@pytest.fixture(scope="module")
def face(head: FlameModel) -> FlameModel:
    return evaluate.face_model(head, REGION)


def normal(seed: int, *size: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), size)


def test_the_cut_face_poses_as_the_whole_head(head: FlameModel, face: FlameModel) -> None:
    coefficients = {
        "shape": normal(0, 4, SHAPE),
        "expression": normal(1, 4, EXPRESSION),
        "jaw": 0.3 * normal(2, 4, 3),
        "neck": 0.2 * normal(3, 4, 3),
    }
    whole = flame.vertices(head, **coefficients)[:, REGION]
    cut = flame.vertices(face, **coefficients)[:, : len(REGION)]
    np.testing.assert_allclose(cut, whole, atol=1e-6)


def identity(face: FlameModel, width: float, faces: int = 200, samples: int = 30) -> dict:
    """Figures when the truth is N(m, 0.6^2) and the samples are N(m, (0.6 width)^2), for a ranker
    that knows nothing ('chance') and one that knows all ('best'); the regressor knows m."""
    centre = 0.8 * normal(0, faces, SHAPE)
    shape = centre + 0.6 * normal(1, faces, SHAPE)
    drawn = centre[:, None] + 0.6 * width * normal(2, faces, samples, SHAPE)
    truth = flame.vertices(face, shape=shape)[:, : len(REGION)]
    sampled = flame.vertices(face, shape=drawn.reshape(-1, SHAPE))[:, : len(REGION)]
    sampled = sampled.reshape(faces, samples, *truth.shape[1:])
    errors = metrics.vertex_error(sampled, jnp.broadcast_to(truth[:, None], sampled.shape))
    run = jax.jit(evaluate.identity_figures)
    picks = {"chance": jnp.zeros(faces, jnp.int32), "best": jnp.argmin(errors, 1)}
    found = {name: run(face, shape, centre, drawn, pick) for name, pick in picks.items()}
    return jax.device_get(found | {"errors": errors})


@pytest.fixture(scope="module")
def calibrated(face: FlameModel) -> dict:
    return identity(face, width=1.0)


def gap(figures: dict) -> float:
    mean = {name: value.mean() for name, value in figures.items()}
    average = mean["average sample"]
    return (average - mean["ranked"]) / (average - mean["oracle"])


def test_identity_figures_of_a_known_posterior(calibrated: dict) -> None:
    figures, errors = calibrated["chance"], calibrated["errors"]
    np.testing.assert_allclose(figures["oracle"], errors.min(1), rtol=1e-5)
    np.testing.assert_allclose(figures["average sample"], errors.mean(1), rtol=1e-5)
    assert gap(calibrated["best"]) == pytest.approx(1, abs=1e-5)
    assert gap(figures) == pytest.approx(0, abs=0.1)
    mean = {name: value.mean() for name, value in figures.items()}
    assert mean["spread"] / mean["miss"] == pytest.approx(30 / 31, rel=0.1)
    # Two independent draws of one posterior are sqrt(2) further apart than a draw and its mean.
    assert mean["average sample"] / mean["deterministic regressor"] == pytest.approx(1.41, rel=0.05)
    assert mean["mean of the samples"] == pytest.approx(mean["deterministic regressor"], rel=0.05)
    assert mean["oracle"] < mean["nearest to the mean"] < mean["average sample"]
    assert mean["medoid"] < mean["average sample"] < 1.45 * mean["mean face"]


def test_calibration_tells_samples_that_are_too_sure(face: FlameModel) -> None:
    figures = identity(face, width=0.5)["chance"]
    assert figures["spread"].sum() / figures["miss"].sum() == pytest.approx(0.25, rel=0.1)


def test_identity_figures_ignore_a_rigid_part_of_the_basis(face: FlameModel) -> None:
    """A coefficient that only moves the head about changes no figure."""
    shift = jnp.broadcast_to(jnp.array([0.01, -0.02, 0.03]), face.shapedirs.shape[:2])
    moving = face.shapedirs.at[:, :, 0].set(shift)
    still = face.shapedirs.at[:, :, 0].set(0.0)
    shape, regressed, drawn = normal(4, 5, SHAPE), normal(5, 5, SHAPE), normal(6, 5, 9, SHAPE)
    one, other = (
        jax.jit(evaluate.identity_figures)(
            dataclasses.replace(face, shapedirs=basis),
            shape,
            regressed,
            drawn,
            jnp.arange(5),
        )
        for basis in (moving, still)
    )
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=1e-3, atol=1e-7, err_msg=name)


def test_expression_figures(face: FlameModel) -> None:
    truth = {
        "shape": normal(0, 3, SHAPE),
        "expression": normal(1, 3, EXPRESSION),
        "jaw": 0.2 * normal(2, 3, 3),
    }
    expression, jaw = normal(3, 3, 4, EXPRESSION), 0.2 * normal(4, 3, 4, 3)
    run = jax.jit(evaluate.expression_figures)
    found = run(face, truth, expression, jaw)
    assert float(found["neutral face"].min()) > 1e-3
    lucky = expression.at[:, 2].set(truth["expression"]), jaw.at[:, 2].set(truth["jaw"])
    assert float(run(face, truth, *lucky)["closest"].max()) < 1e-6
    calm = truth | {"expression": jnp.zeros((3, EXPRESSION)), "jaw": jnp.zeros((3, 3))}
    zero = run(face, calm, 0 * expression, 0 * jaw)
    assert max(float(value.max()) for value in zero.values()) < 1e-6


# ---------------------------------------------------------------- the table


@pytest.fixture(scope="module")
def report(calibrated: dict) -> dict:
    posed = {f"expression/{name}": np.linspace(1, 2, 200) for name in quality.EXPRESSION}
    clean = calibrated["best"] | posed
    occluded = {name: 1.1 * value for name, value in clean.items()}
    about = {
        "head": {"name": "made-up", "sha256": "a" * 64},
        "bundle": "b" * 64,
        **{"samples": 30, "expressions": 15, "seed": 0},
    }
    figures = {"clean": clean, "occluded": occluded}
    return quality.report(figures, subject=np.arange(200), about=about, rounds=200)


def test_report_is_plain_json_with_intervals_around_the_values(report: dict) -> None:
    again = json.loads(json.dumps(report))
    assert again["faces"] == again["pictures"] == 200
    for side in evaluate.SIDES:
        for name, row in again[side].items():
            for unit, cell in row.items():
                assert cell["low"] <= cell["value"] <= cell["high"], (side, name, unit)


def test_report_ratios(report: dict) -> None:
    clean, occluded = report["clean"], report["occluded"]
    assert clean["mean face"]["ratio"] == {"value": 1, "low": 1, "high": 1}
    ratio = clean["oracle"]["mm"]["value"] / clean["mean face"]["mm"]["value"]
    assert clean["oracle"]["ratio"]["value"] == pytest.approx(ratio)
    assert clean["recovered gap"]["ratio"]["value"] == pytest.approx(1, abs=1e-5)
    assert occluded["wider than the clean twin"]["ratio"]["value"] == 1
    grown = occluded["ranked"]["mm"]["value"] / clean["ranked"]["mm"]["value"]
    assert grown == pytest.approx(1.1, rel=1e-5)


def test_table_names_the_head_and_every_row(report: dict) -> None:
    text = quality.table(report)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in rows}) == 1
    assert text.startswith("made-up (aaaaaaaaaaaa)")
    for name in (
        *quality.IDENTITY[:-1],
        "oracle of 30",
        "expression: closest of 15",
        "calibration",
    ):
        assert sum(f"| {name} " in row for row in rows) == 1, name


# ---------------------------------------------------------------- a whole run


@pytest.fixture(scope="module")
def split() -> dict[str, np.ndarray]:
    """Five made-up heads, clean and occluded."""
    arrays = {k: v[:5] for k, v in toy.arrays().items() if k in evaluate.TRUTH}
    rng = np.random.default_rng(0)
    pictures = (f"features_{side}" for side in evaluate.SIDES)
    return arrays | {name: rng.normal(size=(5, toy.FEATURES)) for name in pictures}


@pytest.fixture(scope="module")
def bundle(head: FlameModel) -> Bundle:
    return toy.random_bundle(jax.random.key(0), head, toy.FEATURES, REGION, toy.REGION)


def run(bundle: Bundle, head: FlameModel, split: dict, batch: int = 3) -> dict:
    return evaluate.evaluate(bundle, head, REGIONS, split, samples=6, expressions=3, batch=batch)


def test_figures_depend_on_the_picture_alone(bundle: Bundle, head: FlameModel, split: dict) -> None:
    """Neither on the batch nor, but for the features, on clean or occluded."""
    one = run(bundle, head, split, batch=3)
    other = run(bundle, head, split | {"features_occluded": split["features_clean"]}, batch=4)
    assert one["clean"].keys() >= {*quality.IDENTITY, "spread", "miss", "expression/closest"}
    for name, value in one["clean"].items():
        assert value.shape == (5,)
        np.testing.assert_allclose(value, other["clean"][name], rtol=2e-3, err_msg=name)
        np.testing.assert_array_equal(other["clean"][name], other["occluded"][name], err_msg=name)
        if "mean face" not in name and "neutral" not in name:
            assert (value != one["occluded"][name]).any(), name


class Watched:
    """Pictures of which only single rows may be read."""

    def __init__(self, crops: np.ndarray, read: list[int]) -> None:
        self.crops, self.read = crops, read

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.read += rows.tolist()
        return self.crops[rows]


def test_crops_are_taken_row_by_row(
    bundle: Bundle, head: FlameModel, split: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that look at crops get those of the batch, of both sizes, as bytes."""
    rng, read = np.random.default_rng(1), []
    features, crops = {}, {}
    for side in evaluate.SIDES:
        own = {name: rng.integers(0, 256, (5, n, n, 3), np.uint8) for n, name in SMALL.items()}
        crops |= {f"features_{side}": {name: Watched(a, read) for name, a in own.items()}}
        features |= {f"features_{side}": np.asarray(see({}, own))}
    plain = run(bundle, head, split | features)
    monkeypatch.setattr(conditioning, "vector", see)
    for name, value in run(bundle, head, split | crops)["occluded"].items():
        np.testing.assert_allclose(value, plain["occluded"][name], rtol=1e-4, err_msg=name)
    assert len(read) == 4 * 6 and max(read) == 4


SMALL = {8: "crop_112", 16: "crop_224"}


def see(_: dict, crops: dict) -> jax.Array:
    """In place of an encoder."""
    if not isinstance(crops, dict):
        return crops
    assert all(c.dtype == np.uint8 for c in crops.values())
    means = [jnp.mean(crops[name] / 255.0, axis=(1, 2)) for name in SMALL.values()]
    return jnp.pad(jnp.concatenate(means, axis=1), ((0, 0), (0, toy.FEATURES - 6)))


def test_a_bundle_without_a_regressor_has_one_row_less(
    bundle: Bundle, head: FlameModel, split: dict
) -> None:
    params = {name: part for name, part in bundle.params["idgen"].items() if name != "regressor"}
    less = dataclasses.replace(bundle, params=bundle.params | {"idgen": params})
    whole, found = run(bundle, head, split), run(less, head, split)
    assert whole["clean"].keys() - found["clean"].keys() == {"deterministic regressor"}
    about = {"head": bundle.config["head"], "bundle": "b", "samples": 6, "expressions": 3}
    report = quality.report(found, subject=np.arange(5), about=about | {"seed": 0}, rounds=20)
    assert "regressor" not in quality.table(report)
    assert "artist" not in quality.table(report)  # that is said of the open head alone


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jaw": np.zeros((4, 3))}, "equally long"),
        ({name: np.zeros((0, 1)) for name in evaluate.TRUTH}, "equally long"),
        ({"features_clean": {"a": np.zeros((5, 1)), "b": np.zeros((4, 1))}}, r"\[5, 4\]"),
    ],
)
def test_evaluate_refuses_damaged_splits(
    bundle: Bundle, head: FlameModel, split: dict, change: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run(bundle, head, split | change)
    with pytest.raises(ValueError, match="lacks jaw"):
        run(bundle, head, {name: value for name, value in split.items() if name != "jaw"})


def test_evaluate_refuses_another_head(bundle: Bundle, head: FlameModel, split: dict) -> None:
    other = dataclasses.replace(head, sha256="f" * 64)
    with pytest.raises(ValueError, match="trained on head 'toy'"):
        run(bundle, other, split)


def test_evaluate_refuses_one_sample(bundle: Bundle, head: FlameModel, split: dict) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        evaluate.evaluate(bundle, head, REGIONS, split, samples=1)

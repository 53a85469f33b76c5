"""Which encoders a run on stored features gets, and which are refused."""

import pytest

from launch import with_encoders
from ofer_jax.encoders import Encoder


def encoder(name: str, sha256: str = "a") -> Encoder:
    return Encoder(name, {"out_dim": 4, "of": name}, f"{name}.pth", sha256, {"params": name})


MADE = {name: encoder(name) for name in ("arcface", "farl")}
DIGEST = "+".join(MADE[name].digest for name in ("farl", "arcface"))


def model(features: str, name: str = "cached") -> dict:
    return {"features": {"name": features, "size": 8}, "encoder": {"name": name}, "net": {}}


def test_the_encoders_take_their_places():
    config, params, projection = with_encoders.whole(
        model("farl+arcface"), {"net": 1}, DIGEST, MADE
    )
    assert config["features"] == {"name": "crops"} and config["net"] == {} and projection == ""
    assert config["encoder"] == {
        **{"name": "farl+arcface", "out_dim": 4, "of": "arcface"},
        "farl": {"out_dim": 4, "of": "farl"},
    }
    weights = {"farl": {"params": "farl"}, "arcface": {"params": "arcface"}}
    assert params == {"net": 1, "encoder": weights}


@pytest.mark.parametrize("which", [model("open"), model("crops", "arcface"), model("open", "mlp")])
def test_other_runs_stay_as_they_are(which):
    assert with_encoders.whole(which, {"net": 1}, "x", MADE) == (which, {"net": 1}, "x")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"farl": MADE["farl"]}, "weights that made them, --arcface"),
        (MADE | {"farl": encoder("farl", "b")}, "other weights than those of --farl and --arcface"),
    ],
)
def test_encoders_that_did_not_make_the_features_are_refused(made, said):
    with pytest.raises(ValueError, match=said):
        with_encoders.whole(model("farl+arcface"), {}, DIGEST, made)

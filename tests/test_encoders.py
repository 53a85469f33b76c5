"""The published encoders frozen: from the users' files to features of crops."""

import jax
import numpy as np
import pytest

from ofer_jax import encoders
from ofer_jax.tasks import conditioning
from tests import small_published, torchfiles


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Small networks in their official layouts."""
    return small_published.write_encoders(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def made(paths):
    return {each.name: each for each in encoders.read(paths)}


@pytest.fixture
def crops(rng, monkeypatch):
    monkeypatch.setattr(encoders, "BATCH", 2)
    sizes = {"crop_112": 112, "crop_224": 224}
    return {n: rng.integers(0, 256, (3, s, s, 3), dtype=np.uint8) for n, s in sizes.items()}


def test_features_are_the_context_that_training_on_crops_has(made, crops):
    arcface, farl = made["arcface"], made["farl"]
    config = {"name": "farl+arcface", **arcface.settings, "farl": farl.settings}
    params = {name: each.variables for name, each in made.items()}
    wanted = jax.jit(lambda p, c: conditioning.encode({"encoder": config}, p, c))(params, crops)
    found = [each(crops[encoders.CROPS[each.name]]) for each in (farl, arcface)]
    np.testing.assert_allclose(np.concatenate(found, axis=1), wanted, atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(found[1], axis=1), 1, rtol=1e-6)


def test_sizes_are_read_from_the_file(made):
    assert made["arcface"].settings["blocks"] == small_published.BLOCKS
    assert made["farl"].settings["depth"] == small_published.DEPTH
    assert (made["farl"].settings["heads"], made["farl"].settings["patch"]) == (1, 16)
    assert made["arcface"].width == made["farl"].width == 64


def test_a_row_does_not_depend_on_how_many_there_are(made, crops):
    encoder, pictures = made["farl"], crops["crop_224"]
    whole = encoder(pictures)
    assert whole.shape == (3, 64) and whole.dtype == np.float32
    for row, picture in enumerate(pictures):
        np.testing.assert_array_equal(encoder(picture[None])[0], whole[row])
    assert encoder(pictures[:0]).shape == (0, 64)


def test_the_digest_is_of_weights_and_settings(made, tmp_path):
    weights = small_published.narrow(small_published.arcface())
    torchfiles.write(tmp_path / "same.pth", weights)
    weights["fc.bias"] = weights["fc.bias"] + 1
    torchfiles.write(tmp_path / "other.pth", weights)
    (other,) = encoders.read({"arcface": tmp_path / "other.pth"})
    assert other.digest != made["arcface"].digest
    assert other.identity["file"] == "other.pth" and len(other.identity["sha256"]) == 64


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"arcface": None}, "--arcface FILE"),
        ({"farl": "arcface"}, "holds no farl"),
        ({"arcface": "farl"}, "holds no arcface"),
    ],
)
def test_files_that_do_not_serve_are_one_line(paths, given, said):
    named = {name: path and paths[path] for name, path in given.items()}
    with pytest.raises(ValueError, match=said) as raised:
        encoders.read(named)
    assert "\n" not in str(raised.value)

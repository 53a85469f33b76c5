"""Bundles round-trip, and refuse damage and other heads in one line."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from ofer_jax import bundle, flame
from tests import toy


@pytest.fixture(scope="module")
def made() -> bundle.Bundle:
    return toy.random_bundle(jax.random.key(0), toy.head(), toy.FEATURES)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 0.0), ("float16", 1e-3)])
def test_a_bundle_comes_back(dtype: str, error: float, made: bundle.Bundle, tmp_path: Path) -> None:
    bundle.save(made, tmp_path / "b", dtype)
    read = bundle.load(tmp_path / "b", toy.head())
    assert read.config["tasks"] == made.config["tasks"]
    assert read.config["head"] == {"name": "toy", "sha256": "0" * 64, "release": ""}
    assert jax.tree.structure(read.params) == jax.tree.structure(made.params)

    def close(a: np.ndarray, b: np.ndarray) -> None:
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=error, atol=error)

    jax.tree.map(close, read.params, made.params)


def test_an_encoder_without_parameters_comes_back(made: bundle.Bundle, tmp_path: Path) -> None:
    params = {**made.params, "expgen": {**made.params["expgen"], "encoder": {}}}
    bundle.save(bundle.Bundle(made.config, params), tmp_path / "b")
    assert bundle.load(tmp_path / "b").params["expgen"]["encoder"] == {}


def test_saving_replaces_a_bundle(made: bundle.Bundle, tmp_path: Path) -> None:
    for dtype in ("float32", "float16"):
        bundle.save(made, tmp_path / "b", dtype)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b"]
    assert [p.exists() for p in bundle.files(tmp_path / "b")] == [True, True]


def test_nothing_is_left_of_a_bundle_that_cannot_be_stored(
    made: bundle.Bundle, tmp_path: Path
) -> None:
    params = {**made.params, "idrank": {"net": {"bias": np.array([1e6], np.float32)}}}
    with pytest.raises(ValueError, match="idrank/net/bias does not fit into float16"):
        bundle.save(bundle.Bundle(made.config, params), tmp_path / "b", "float16")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_other_things_is_not_replaced(made: bundle.Bundle, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="is no bundle"):
        bundle.save(made, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_another_head_is_refused(made: bundle.Bundle, tmp_path: Path) -> None:
    bundle.save(made, tmp_path / "b")
    other = dataclasses.replace(toy.head(), name="other", sha256="1" * 64)
    with pytest.raises(ValueError, match=r"trained on head 'toy'.*not on 'other'") as caught:
        bundle.load(tmp_path / "b", other)
    assert "\n" not in str(caught.value)


def test_a_mix_of_releases_names_both(made: bundle.Bundle, tmp_path: Path) -> None:
    old = dataclasses.replace(toy.head(), release="FLAME 2020")
    new = dataclasses.replace(toy.head(), release="FLAME 2023", sha256="1" * 64)
    bound = bundle.make(made.config["tasks"], made.params, old)
    message = r"head 'toy' \(FLAME 2020, 0{12}\), not on 'toy' \(FLAME 2023, 1{12}\); use that head"
    with pytest.raises(ValueError, match=message):
        bundle.check_head(bound, new, tmp_path)
    with pytest.raises(ValueError, match=message):
        bundle.save(bound, tmp_path / "b", head=new)
    assert not (tmp_path / "b").exists()


def test_a_bundle_from_before_releases_were_recorded_is_read(
    made: bundle.Bundle, tmp_path: Path
) -> None:
    head = {key: made.config["head"][key] for key in ("name", "sha256")}
    bundle.save(bundle.Bundle({**made.config, "head": head}, made.params), tmp_path / "b")
    assert bundle.load(tmp_path / "b", toy.head()).config["head"] == head
    other = dataclasses.replace(toy.head(), release="FLAME 2020", sha256="1" * 64)
    with pytest.raises(ValueError, match=r"'toy' \(release not recorded, 0+\), not on"):
        bundle.load(tmp_path / "b", other)


def test_a_bundle_may_bring_its_head(made: bundle.Bundle, tmp_path: Path) -> None:
    path, surface = tmp_path / "b", {"region_face": np.arange(9), "region_front": np.arange(5)}
    bundle.save(made, path)
    assert bundle.head_path(path) is None
    bundle.save(made, path, head=toy.head(), surface=surface)
    found = bundle.head_path(path)
    assert found is not None and found in bundle.files(path)
    head = flame.load(found)
    assert head.identity == toy.head().identity
    bundle.load(path, head)
    assert flame.surface(found)["region_front"].tolist() == list(range(5))
    bundle.save(made, path)  # replaced whole: the head goes
    assert sorted(p.name for p in path.iterdir()) == ["config.json", "params.safetensors"]


def test_a_folder_with_nothing_but_a_head_is_no_bundle(made: bundle.Bundle, tmp_path: Path) -> None:
    flame.save(tmp_path / "head.npz", toy.head())
    with pytest.raises(ValueError, match="is no bundle"):
        bundle.save(made, tmp_path)
    assert flame.load(tmp_path / "head.npz").name == "toy"


def test_a_mode_is_recorded_where_it_is_given(made: bundle.Bundle) -> None:
    assert "mode" not in made.config
    again = bundle.make(made.config["tasks"], made.params, toy.head(), mode="official_demo")
    assert again.config["mode"] == "official_demo"


def test_features_of_another_projection_are_refused(made: bundle.Bundle, tmp_path: Path) -> None:
    config = {**made.config, "projection": "a" * 64}
    bundle.save(bundle.Bundle(config, made.params), tmp_path / "b")
    read = bundle.load(tmp_path / "b")
    bundle.check_projection(read, "a" * 64)
    with pytest.raises(ValueError, match="another projection"):
        bundle.check_projection(read, "b" * 64)


def test_damage_is_one_clear_line(made: bundle.Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    bundle.save(made, folder)
    params, config = folder / "params.safetensors", folder / "config.json"
    whole = {path: path.read_bytes() for path in (params, config)}

    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            bundle.load(folder)
        assert "\n" not in str(caught.value)
        for path, data in whole.items():
            path.write_bytes(data)

    params.write_bytes(whole[params][:-10])
    refused("params.safetensors is damaged")
    params.write_bytes(whole[params][:-1] + b"\x55")
    refused("params.safetensors is damaged")
    params.unlink()
    refused("params.safetensors: No such file")
    config.write_bytes(whole[config][:100])
    refused("config.json is damaged")
    config.write_bytes(b"[]")
    refused("not of a bundle of format 1")
    stored = json.loads(whole[config])
    config.write_text(json.dumps({**stored, "format": 99}))
    refused("not of a bundle of format 1")
    del stored["tasks"]["idrank"]
    config.write_text(json.dumps(stored))
    refused("config.json lacks idrank")
    config.unlink()
    refused("config.json: No such file")


def test_a_bundle_needs_all_three_tasks(made: bundle.Bundle) -> None:
    tasks = {k: v for k, v in made.config["tasks"].items() if k != "expgen"}
    with pytest.raises(ValueError, match="expgen is missing"):
        bundle.make(tasks, made.params, toy.head())

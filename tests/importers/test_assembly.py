"""Three checkpoints become one bundle that samples, and says where everything came from."""

import dataclasses
import hashlib
import json

import jax
import numpy as np
import pytest

from ofer_jax import bundle, importers
from ofer_jax import published as program
from ofer_jax.models import Denoiser, MicaRegressor, Ranker
from ofer_jax.tasks import conditioning, idgen
from tests import published, small_published, torchfiles

OFER = small_published.OFER
pytestmark = pytest.mark.usefixtures("small")


def last_projections(name):
    """The projections that the first forward pass registers under another name."""
    state = published.state_dict(name)
    last = ".to_qkv.15.weight"
    return {k.replace(last, ".qkv.weight"): v for k, v in state.items() if k.endswith(last)}


@pytest.mark.parametrize("mode", program.MODES)
def test_a_bundle_says_what_it_is(write, head, surface, mode, tmp_path):
    paths = write(*OFER, "mica")
    made, warnings = importers.bundle_of(paths[::-1], head, surface, mode, seed=3)
    assert made.config["mode"] == mode
    expected = program.tasks(mode)
    expected["idgen"]["regressor"] = program.mica()
    assert made.config["tasks"] == expected
    about = made.config["provenance"]["published"]
    assert (about["mode"], about["seed"]) == (mode, 3)
    for path, kind in zip(paths, (*OFER, "mica"), strict=True):
        source = about["files"][kind]
        assert source["file"] == path.name
        assert source["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert "epoch" in source["ignored"]
    assert str(tmp_path) not in json.dumps(made.config)
    assert len(warnings) == 2
    for warning in warnings:
        assert "96 attention projections" in warning
        assert "mid_attn.fn.fn.to_qkv.{0..15}.weight" in warning
        assert "never trained" in warning and "drawn from seed 3" in warning
    assert len(about["files"]["idgen"]["drawn"]) == 6


def test_the_bundle_comes_back_from_its_folder_with_micas_answer(write, head, surface, tmp_path):
    made, _ = importers.bundle_of(write(*OFER, "mica"), head, surface)
    bundle.save(made, tmp_path / "b", head=head, surface=surface)
    read = bundle.load(tmp_path / "b", head)
    assert jax.tree.structure(read.params) == jax.tree.structure(made.params)
    jax.tree.map(np.testing.assert_array_equal, read.params, made.params)
    config, params = read.task("idgen")
    pictures = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3), np.uint8)

    @jax.jit
    def answers(params, crops):
        encoder = params["regressor"]["encoder"]
        embedding = conditioning.encode(config["regressor"], encoder, crops)
        by_hand = MicaRegressor().apply({"params": params["regressor"]["net"]}, embedding)
        return idgen.regress(config, params, crops), by_hand

    answer, by_hand = answers(params, {"crop_112": pictures})
    assert answer.shape == (1, 300) and np.std(answer) > 0
    np.testing.assert_allclose(answer, by_hand, rtol=1e-6)


def test_the_networks_are_the_published_ones(write, head, surface):
    """From files that hold every projection, the golden values."""
    changes = {
        kind: {"net": published.state_dict(name)}
        for kind, name in small_published.DENOISERS.items()
    }
    made, warnings = importers.bundle_of(write(*OFER, "mica", **changes), head, surface)
    assert warnings == []
    golden, (config, params) = published.golden("mica_regressor"), made.task("idgen")
    net = MicaRegressor.from_config(config["regressor"]["net"])
    out = net.apply({"params": params["regressor"]["net"]}, golden["in_embedding"])
    expected = golden["out_shape"]
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-4 * expected.std())
    for kind, name in small_published.DENOISERS.items():
        golden, (config, params) = published.golden(name), made.task(kind)
        net = Denoiser.from_config({**config["net"], "dim": config["net"]["widths"][0]})
        t = golden["in_t"].astype(np.int32)
        out = jax.jit(net.apply)({"params": params["net"]}, golden["in_x"], t, golden["in_context"])
        expected = golden["out_noise"]
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-4 * expected.std())


@pytest.mark.parametrize("release", ["FLAME 2020", ""])
def test_another_flame_than_the_published_one_is_said(write, head, surface, release):
    other = dataclasses.replace(head, release=release)
    _, warnings = importers.bundle_of(write(*OFER), other, surface)
    assert "trained on FLAME 2023" in warnings[0]
    assert (release or "not known") in warnings[0]


def test_drawn_projections_follow_the_seed_and_those_in_a_file_are_used(write, head, surface):
    held = last_projections("denoiser_expgen")
    net = small_published.contents()["expgen"]["net"] | held
    paths = write(*OFER, expgen={"net": net})
    (first, warnings), (again, _), (other, _) = (
        importers.bundle_of(paths, head, surface, seed=seed) for seed in (0, 0, 1)
    )
    kernels = [
        [
            np.asarray(made.params[kind]["net"]["attentions_2"]["qkv"]["kernel"])
            for made in (first, again, other)
        ]
        for kind in ("idgen", "expgen")
    ]
    for one, same, another in kernels:
        np.testing.assert_array_equal(one, same)
        assert (one != another)[:, : 15 * 384].mean() > 0.99
    last = held["mid_attn.fn.fn.qkv.weight"][..., 0].T
    for kernel in kernels[1]:
        np.testing.assert_array_equal(kernel[:, 15 * 384 :], last)
    assert [w.split(": ")[1][:25] for w in warnings] == [
        "96 attention projections ",
        "90 attention projections ",
        "projection 16 of 6 attent",
    ]


def test_the_ranker_is_split_and_scores(write, head, surface):
    made, _ = importers.bundle_of(write(*OFER), head, surface)
    config, params = made.task("idrank")
    weight = small_published.contents()["idrank"]["net"]["ranklayers.0.mlp.weight"]
    np.testing.assert_array_equal(params["net"]["mean_0"]["kernel"], weight[:, :5355].T)
    points = np.random.default_rng(0).standard_normal((1, 3, 1785, 3), np.float32)
    context = np.zeros((1, 1024), np.float32)
    scores = Ranker.from_config(config["net"]).apply({"params": params["net"]}, points, context)
    assert scores.shape == (1, 3) and np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("idgen", "expgen"), r"missing: OFER's IdRank \(model_idrank\*\.tar\)$"),
        (("mica",), "missing: OFER's IdGen .*, OFER's IdRank .*, OFER's ExpGen"),
        (("idgen", "idgen", "idrank", "expgen"), "are both OFER's IdGen"),
    ],
)
def test_the_three_are_needed_once_each(write, head, surface, kinds, message):
    with pytest.raises(ValueError, match=message):
        importers.bundle_of(write(*kinds), head, surface)


def test_a_file_that_has_no_place_in_a_bundle_is_named(tmp_path, write, head, surface):
    torchfiles.write(tmp_path / "farl.pth", small_published.clip())
    with pytest.raises(ValueError, match=r"farl\.pth: this is a FaRL; a bundle has no use for it"):
        importers.bundle_of([*write(*OFER), tmp_path / "farl.pth"], head, surface)


def test_another_head_is_refused(write, head, surface):
    paths = write(*OFER)
    few = dataclasses.replace(head, shapedirs=head.shapedirs[..., :100], name="small")
    with pytest.raises(ValueError, match="head 'small' has 100 shape and 100 expression"):
        importers.bundle_of(paths, few, surface)
    with pytest.raises(ValueError, match=r"comes with no numbers of them: give .*--front"):
        importers.bundle_of(paths, head, {})
    with pytest.raises(ValueError, match=r"sees 1785 front-face .*2 x 5355 .*comes with 7 numbers"):
        importers.bundle_of(paths, head, {"region_front": np.arange(7)})


def test_damaged_entries_name_their_file(write, head, surface):
    net = {
        k: v
        for k, v in small_published.contents()["expgen"]["net"].items()
        if k != "init_conv.bias"
    }
    paths = write(*OFER, expgen={"net": net | {"more.weight": np.ones(2)}})
    with pytest.raises(ValueError, match=r"file2\.bin: .*missing: init_conv\.bias; unknown: more"):
        importers.bundle_of(paths, head, surface)
    net = small_published.contents()["idrank"]["net"] | {
        "ranklayers.0.mlp.weight": np.ones((16, 600), np.float32)
    }
    with pytest.raises(ValueError, match=r"IdRank .*net/linear_0/kernel has shape \(300, 16\);"):
        importers.bundle_of(write(*OFER, idrank={"net": net}), head, surface)


@pytest.mark.slow
def test_the_whole_ranker_gives_the_golden_scores(write, head, surface, monkeypatch):
    monkeypatch.setattr(small_published, "HIDDEN", [4096, 1024, 256, 64])
    paths = write(*OFER, idrank={"net": published.state_dict("ranker")})
    made, _ = importers.bundle_of(paths, head, surface)
    golden, (config, params) = published.golden("ranker"), made.task("idrank")
    net = Ranker.from_config(config["net"])
    scores = net.apply({"params": params["net"]}, golden["in_vertices_mm"], golden["in_context"])
    expected = golden["out_scores"]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-4 * expected.std())

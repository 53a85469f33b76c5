"""Files are known by what they hold; everything in them is accounted for."""

import jax
import numpy as np
import pytest

from ofer_jax import convert, importers, onnxfile
from ofer_jax.models import ArcFace, FaRL, arcface_input, farl_input
from tests import published, small_published, torchfiles

KINDS = (*small_published.OFER, "mica")
EXTRA = ("batch_size", "diffusion", "epoch", "global_step", "optimizer", "scheduler")


def test_a_kind_is_found_by_content(write):
    assert [importers.read(path).kind for path in write(*KINDS)] == list(KINDS)


@pytest.mark.parametrize("legacy", [False, True])
def test_single_state_dicts_are_known_too(tmp_path, legacy):
    files = {
        "arcface": small_published.arcface(),
        "farl": {"state_dict": small_published.clip(), "epoch": 64},
    }
    for kind, content in files.items():
        torchfiles.write(tmp_path / kind, content, legacy=legacy)
        assert importers.read(tmp_path / kind).kind == kind
    torchfiles.write(tmp_path / "flat", small_published.clip())
    assert importers.read(tmp_path / "flat").kind == "farl"
    assert importers.read(tmp_path / "farl").ignored == (
        "epoch",
        "farl.ln_final",
        "farl.logit_scale",
    )


def test_what_is_read_and_what_is_ignored_is_all_there_is(write):
    for kind, path in zip(KINDS, write(*KINDS), strict=True):
        found = importers.read(path)
        whole = {entry for entry in found.ignored if "." not in entry}
        assert {*found.states, *whole} == set(small_published.contents()[kind])
        for name, state in found.states.items():
            assert set(state) == set(small_published.contents()[kind][name])
    read = {kind: importers.read(p).ignored for kind, p in zip(KINDS, write(*KINDS), strict=True)}
    counters = "arcface.*.num_batches_tracked"
    assert read["idrank"] == (counters, *EXTRA[:3], "farl.ln_final", "farl.logit_scale", *EXTRA[3:])
    assert read["mica"] == (counters, "epoch", "flameModel.generator")
    assert {name for name in read["idgen"] if "." not in name} == set(EXTRA)
    assert "var_sched.mean_coeff" in read["idgen"]  # follows from the betas, and is not read


def test_dataparallels_prefix_is_taken_off(write):
    net = {
        f"module.{key}": value for key, value in small_published.contents()["idgen"]["net"].items()
    }
    (path,) = write("idgen", idgen={"net": net})
    assert set(importers.read(path).states["net"]) == set(
        small_published.contents()["idgen"]["net"]
    )


def test_what_nothing_reads_may_be_of_any_kind(write):
    clip = small_published.clip() | {"vocabulary": ["a", "b"], "context_length": 77}
    (path,) = write("expgen", expgen={"farl": clip, "validator": {"best": None}})
    ignored = importers.read(path).ignored
    assert {"validator", "farl.vocabulary", "farl.context_length"} <= set(ignored)


def test_half_precision_becomes_float32(tmp_path):
    arcface = small_published.arcface()
    half = {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in arcface.items()}
    torchfiles.write(tmp_path / "half", half)
    found = importers.read(tmp_path / "half").states["arcface"]
    variables = convert.arcface(found, {"layers": small_published.BLOCKS})
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype(np.float32)}
    expected = convert.arcface(arcface, {"layers": small_published.BLOCKS})
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7), variables, expected
    )


def test_every_missing_and_unknown_name_is_told(tmp_path):
    torchfiles.write(tmp_path / "x", small_published.arcface() | {"head.weight": np.ones(3)})
    with pytest.raises(ValueError, match=r"x: .*missing: layer1\.1\.bn1\.bias, .*unknown: head\.w"):
        importers.arcface(tmp_path / "x")  # one block a stage where 3-13-30-3 are wanted


def test_a_file_without_the_network_asked_for_says_what_it_is(write):
    (path,) = write("mica")
    with pytest.raises(ValueError, match=r"file0.bin: this is MICA .*holds no FaRL"):
        importers.farl(path)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("idgen", {"arcface": None}, r"this is OFER's IdGen .*but it lacks arcface"),
        ("expgen", {"farl": None, "var_sched": None}, "but it lacks farl, var_sched"),
        ("idrank", {"net": {"fc.weight": np.ones(3)}}, "neither a ranker nor a denoiser"),
        (
            "idgen",
            {"net": {"init_conv.weight": np.ones((64, 64, 1))}},
            r"has shape \(64, 64, 1\); IdGen draws",
        ),
        ("idgen", {"net": [1, 2]}, "its entry net is no state dict"),
        ("idgen", {"arcface": {"conv1.weight": "much"}}, "holds 'conv1.weight', which is no array"),
        ("idgen", {"var_sched": {"alphas": np.ones(3)}}, "its var_sched lacks betas"),
        ("idgen", {"var_sched": {"betas": np.full(1000, 0.02)}}, "not the published one: betas"),
        ("idgen", {"var_sched": {"betas": np.full(500, 0.02)}}, "not the published one: betas"),
        ("mica", {"flameModel": None, "arcface": None}, "none of OFER's IdGen .*it holds epoch"),
    ],
)
def test_a_file_that_is_not_what_it_seems_is_one_line(write, kind, change, message):
    (path,) = write(kind, **{kind: change})
    with pytest.raises(ValueError, match=message) as caught:
        importers.read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_other_files_are_one_line(tmp_path):
    (tmp_path / "text").write_text("nothing of the kind")
    torchfiles.write(tmp_path / "list", [1, 2])
    for name, message in {"text": "PyTorch", "list": "it holds a list"}.items():
        with pytest.raises(ValueError, match=message) as caught:
            importers.read(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        importers.read(tmp_path / "nowhere.tar")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["backbone.pth", "mica.tar"])
def test_arcface_from_its_file_gives_the_golden_values(tmp_path, layout):
    golden, state = (
        published.golden("arcface_iresnet100"),
        published.state_dict("arcface_iresnet100"),
    )
    content = state if layout == "backbone.pth" else {"arcface": state, "flameModel": {}}
    torchfiles.write(tmp_path / "x", content)
    variables = importers.arcface(tmp_path / "x")
    images = arcface_input(golden["in_images_nchw_rgb_uint8"].transpose(0, 2, 3, 1))
    out, expected = jax.jit(ArcFace().apply)(variables, images), golden["out_embedding"]
    np.testing.assert_allclose(out, expected, atol=1e-4 * expected.std())


@pytest.mark.slow
def test_farl_from_its_file_gives_the_golden_values(tmp_path):
    golden, state = published.golden("farl_vit_b16"), published.state_dict("farl_vit_b16")
    torchfiles.write(tmp_path / "x", {"state_dict": state | {"logit_scale": np.array(4.6)}})
    images = farl_input(golden["in_images_nhwc_rgb_uint8"])
    out = jax.jit(FaRL().apply)(importers.farl(tmp_path / "x"), images)
    expected = golden["out_embedding"]
    np.testing.assert_allclose(out, expected, atol=1e-4 * expected.std())


def test_an_onnx_file_is_known_by_its_first_byte(tmp_path, monkeypatch):
    """Every ONNX model starts with its version: field 1, a number."""
    (tmp_path / "weights").write_bytes(b"\x08\x07 and the rest")
    monkeypatch.setattr(onnxfile, "arcface", lambda path: small_published.arcface())
    found = importers.read(tmp_path / "weights")
    assert (found.kind, set(found.states)) == ("arcface", {"arcface"})
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "empty", [], [])
    assert onnx.helper.make_model(graph).SerializeToString()[:1] == b"\x08"

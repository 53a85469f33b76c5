import numpy as np
import pytest

from ofer_jax import convert
from tests import published


@pytest.fixture(scope="module")
def expgen():
    return published.state_dict("denoiser_expgen"), published.config("denoiser_expgen")


def test_every_missing_and_unknown_entry_is_named(expgen):
    state, config = dict(expgen[0]), expgen[1]
    del state["init_conv.bias"], state["downs.1.0.mlp.1.weight"]
    state["optimizer.step"] = state["something.else"] = np.zeros(1)
    with pytest.raises(ValueError, match="not the state dict of a denoiser") as caught:
        convert.denoiser(state, config)
    for key in ("init_conv.bias", "downs.1.0.mlp.1.weight", "optimizer.step", "something.else"):
        assert key in str(caught.value)


def without_projections(state):
    return {key: value for key, value in state.items() if "to_qkv" not in key}


def test_a_published_checkpoint_lacks_the_attention_projections(expgen):
    with pytest.raises(ValueError, match=r"missing: downs\.0\.2\.fn\.fn\.to_qkv\.0\.weight"):
        convert.denoiser(without_projections(expgen[0]), expgen[1])


def test_missing_projections_may_be_drawn(expgen):
    state = without_projections(expgen[0])
    first, again, other = (
        convert.denoiser(state, expgen[1], draw_missing=seed)["params"]["attentions_0"]["qkv"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first["kernel"], again["kernel"])
    assert np.abs(first["kernel"] - other["kernel"]).max() > 0.01
    assert first["kernel"].shape == (53, 16 * 384)
    assert np.abs(first["kernel"]).max() <= 53**-0.5


def test_the_last_projection_is_read_under_its_other_name(expgen):
    state = dict(expgen[0])
    last = "mid_attn.fn.fn.to_qkv.15.weight"
    state["mid_attn.fn.fn.qkv.weight"] = state.pop(last)
    expected = convert.denoiser(expgen[0], expgen[1])["params"]["attentions_2"]["qkv"]["kernel"]
    out = convert.denoiser(state, expgen[1])["params"]["attentions_2"]["qkv"]["kernel"]
    np.testing.assert_array_equal(out, expected)


def test_micas_other_entries_are_ignored():
    state = published.state_dict("mica_regressor")
    out = convert.mica_regressor(state | {"generator.v_template": np.zeros((5, 3))})
    assert sorted(out["params"]) == ["linear_0", "linear_1", "linear_2", "linear_3", "out"]
    with pytest.raises(ValueError, match=r"missing: regressor\.output\.bias"):
        convert.mica_regressor({k: v for k, v in state.items() if k != "regressor.output.bias"})


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("time_mlp.3.bias", ()),
        ("downs.0.0.mlp.1.weight", (106,)),
        ("mid_attn.fn.fn.to_qkv.3.weight", (384, 10)),
    ],
)
def test_an_array_of_another_shape_is_named(expgen, key, shape):
    with pytest.raises(ValueError, match=rf"not the published shape: .*{key} ") as caught:
        convert.denoiser(expgen[0] | {key: np.zeros(shape)}, expgen[1])
    assert "\n" not in str(caught.value)


def test_an_attention_without_its_width_draws_nothing(expgen):
    state = without_projections(expgen[0]) | {"mid_attn.fn.fn.to_out.weight": np.zeros(3)}
    with pytest.raises(ValueError, match=r"missing: mid_attn\.fn\.fn\.to_qkv\.0\.weight"):
        convert.denoiser(state, expgen[1], draw_missing=0)


def test_variables_have_memory_of_their_own():
    """The arrays of a state may lie in a file that is let go afterwards."""
    state = published.state_dict("mica_regressor")
    out = convert.mica_regressor(state)["params"]
    for value in state.values():
        for layer in out.values():
            assert not any(np.shares_memory(value, leaf) for leaf in layer.values())

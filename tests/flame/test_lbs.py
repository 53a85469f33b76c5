import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import flame

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile

INPUTS = ("shape", "expression", "global_rotation", "neck", "jaw", "eyes")
MICRON = 1e-6


@pytest.fixture(scope="module")
def inputs(golden) -> dict[str, np.ndarray]:
    return {key: golden[f"in_{key}"] for key in INPUTS}


def test_vertices_agree_with_the_golden_values(model, golden, inputs):
    out = flame.vertices(model, **inputs)
    assert np.abs(out - golden["out_vertices"]).max() < MICRON


def test_jit_changes_nothing(model, inputs):
    with jax.disable_jit():
        plain = flame.vertices(model, **inputs)
    np.testing.assert_allclose(flame.vertices(model, **inputs), plain, atol=MICRON)


def test_nothing_given_is_the_template(model):
    out = flame.vertices(model)
    assert out.shape == (1, *model.v_template.shape)
    np.testing.assert_array_equal(out[0], model.v_template)


@pytest.mark.parametrize("left_out", INPUTS)
def test_left_out_is_zero(model, inputs, left_out):
    zeroed = {**inputs, left_out: np.zeros_like(inputs[left_out])}
    fewer = {key: value for key, value in inputs.items() if key != left_out}
    np.testing.assert_allclose(
        flame.vertices(model, **fewer), flame.vertices(model, **zeroed), atol=MICRON
    )


def test_shorter_coefficients_are_padded(model, inputs):
    cut = {"shape": inputs["shape"][:, :7], "expression": inputs["expression"][:, :50]}
    padded = {
        key: np.pad(value, ((0, 0), (0, inputs[key].shape[1] - value.shape[1])))
        for key, value in cut.items()
    }
    np.testing.assert_allclose(
        flame.vertices(model, **cut), flame.vertices(model, **padded), atol=MICRON
    )


def test_any_axes_may_lead(model, inputs):
    flat = {name: inputs[name] for name in ("shape", "jaw")}
    several = {name: value.reshape(2, 3, 2, -1) for name, value in flat.items()}
    expected = flame.vertices(model, **flat)
    out = flame.vertices_over(model, **several)
    np.testing.assert_array_equal(out, expected.reshape(2, 3, 2, *model.v_template.shape))
    one = flame.vertices_over(model, **{name: value[0] for name, value in flat.items()})
    np.testing.assert_allclose(one, expected[0], atol=MICRON)


def test_a_batch_of_one_goes_with_any_other(model, inputs):
    one = inputs["shape"][4:5]
    repeated = np.repeat(one, 12, axis=0)
    rest = {key: value for key, value in inputs.items() if key != "shape"}
    np.testing.assert_allclose(
        flame.vertices(model, shape=one, **rest),
        flame.vertices(model, shape=repeated, **rest),
        atol=MICRON,
    )


def test_no_coefficients_make_no_meshes(model):
    assert flame.vertices(model, shape=np.zeros((0, 3))).shape == (0, model.num_vertices, 3)


def test_a_global_rotation_turns_the_head_about_its_root(model, inputs):
    turn = flame.rotations.rodrigues(jnp.array([0.3, -1.1, 0.4]))
    still = {key: value for key, value in inputs.items() if key != "global_rotation"}
    before = flame.vertices(model, **still)
    axis_angle = jnp.broadcast_to(jnp.array([[0.3, -1.1, 0.4]]), (12, 3))
    after = flame.vertices(model, **still, global_rotation=axis_angle)
    shaped = flame.vertices(model, shape=inputs["shape"], expression=inputs["expression"])
    root = flame.joints(model, shaped)[:, :1]
    turned = jnp.einsum("rc,bvc->bvr", turn, before - root) + root
    assert np.abs(after - turned).max() < MICRON


@pytest.mark.parametrize("rotation", ["global_rotation", "neck", "jaw", "eyes"])
def test_gradient_at_zero_rotation_agrees_with_differences(model, inputs, rotation):
    with jax.enable_x64(True):
        exact = jax.tree.map(
            lambda a: a.astype(np.float64) if a.dtype == np.float32 else a,
            jax.tree.map(np.asarray, model),
        )
        shape = inputs["shape"][5:6].astype(np.float64)
        weights = np.random.default_rng(0).normal(size=(1, model.num_vertices, 3))

        def f(r):
            return jnp.sum(flame.vertices(exact, shape=shape, **{rotation: r}) * weights)

        zero = jnp.zeros_like(jnp.asarray(inputs[rotation][:1], jnp.float64))
        steps = 1e-6 * np.eye(zero.shape[1])[:, None, :]
        central = np.array([(f(zero + s) - f(zero - s)) / 2e-6 for s in steps])
        np.testing.assert_allclose(jax.grad(f)(zero)[0], central, atol=1e-7)


def test_gradient_is_finite_for_every_input_at_zero(model, inputs):
    zeros = {key: jnp.zeros_like(jnp.asarray(value)) for key, value in inputs.items()}
    grads = jax.grad(lambda i: jnp.sum(flame.vertices(model, **i) ** 2))(zeros)
    assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in grads.values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shape": np.zeros((1, 301))}, r"shape must be \[B, at most 300\].*\(1, 301\)"),
        ({"jaw": np.zeros((1, 2))}, r"jaw must be \[B, 3\].*\(1, 2\)"),
        ({"eyes": np.zeros(6)}, r"eyes must be \[B, 6\].*\(6,\)"),
        ({"shape": np.zeros((2, 300)), "neck": np.zeros((3, 3))}, "differ in batch size"),
    ],
)
def test_wrong_sizes_are_named(model, wrong, message):
    with pytest.raises(ValueError, match=message):
        flame.vertices(model, **wrong)

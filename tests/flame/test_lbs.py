import dataclasses
import re

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


@pytest.mark.parametrize("together", [True, False], ids=["one product", "three products"])
def test_vertices_agree_with_the_equations_in_float64(model, inputs, together):
    with jax.enable_x64(True):
        exact = jax.tree.map(
            lambda a: jnp.asarray(a, jnp.float64 if a.dtype == np.float32 else None),
            model if together else dataclasses.replace(model),
        )
        wide = {name: value[:3].astype(np.float64) for name, value in inputs.items()}
        out = flame.vertices(exact, **wide)
        expected = by_the_book(exact, **wide)
        assert np.abs(np.asarray(out) - expected).max() < 1e-12


def by_the_book(model, shape, expression, global_rotation, neck, jaw, eyes):
    """The equations at the top of `lbs`, one after the other, with homogeneous matrices."""
    model = jax.tree.map(np.asarray, model)
    pose = np.concatenate([global_rotation, neck, jaw, eyes], axis=1).reshape(-1, 5, 3)
    rotation = np.asarray(flame.rotations.rodrigues(jnp.asarray(pose)))
    shaped = np.asarray(model.v_template) + np.einsum("vcn,bn->bvc", model.shapedirs, shape)
    shaped = shaped + np.einsum("vcn,bn->bvc", model.exprdirs, expression)
    joint = np.einsum("jv,bvc->bjc", model.J_regressor, shaped)
    bend = (rotation[:, 1:] - np.eye(3)).reshape(len(pose), -1)
    posed = shaped + np.einsum("vcp,bp->bvc", model.posedirs, bend)
    motion = np.zeros((len(pose), 5, 4, 4))
    for j, parent in enumerate(model.parents):
        local = np.zeros((len(pose), 4, 4))
        local[:, :3, :3], local[:, 3, 3] = rotation[:, j], 1
        local[:, :3, 3] = joint[:, j] - np.einsum("bij,bj->bi", rotation[:, j], joint[:, j])
        motion[:, j] = local if parent < 0 else motion[:, parent] @ local
    points = np.concatenate([posed, np.ones_like(posed[..., :1])], axis=-1)
    return np.einsum("vj,bjrc,bvc->bvr", model.lbs_weights, motion[:, :, :3], points, optimize=True)


def test_the_program_multiplies_once_by_the_bases_and_never_turns_them_about(model, inputs):
    program = flame.vertices.lower(model, **inputs).compile().as_text()
    count, width = model.num_vertices, model.bases.shape[-1]
    assert len(re.findall(rf"= f32\[12,{3 * count}\]\S* dot\(", program)) == 1
    basis = rf"f32\[({count},3|{3 * count}),({width}|300)\]|f32\[({width}|300),{3 * count}\]"
    assert re.search(basis, program)
    assert not re.search(rf"= ({basis})\S* (transpose|copy|concatenate|fusion)\(", program)


def test_a_changed_head_forgets_its_joined_bases(model, inputs):
    assert model.bases.shape == (model.num_vertices, 3, 300 + 100 + 36)
    flat = dataclasses.replace(model, shapedirs=jnp.zeros_like(model.shapedirs))
    assert flat.bases is None
    rest = {key: value for key, value in inputs.items() if key != "shape"}
    np.testing.assert_allclose(
        flame.vertices(flat, **inputs), flame.vertices(model, **rest), atol=MICRON
    )


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

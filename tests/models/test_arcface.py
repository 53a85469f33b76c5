import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import convert
from ofer_jax.models import ArcFace, arcface_input
from ofer_jax.models.arcface import PReLU
from tests import published

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.mark.slow
def test_agrees_with_the_golden_values():
    golden, config = published.golden("arcface_iresnet100"), published.config("arcface_iresnet100")
    variables = convert.arcface(published.state_dict("arcface_iresnet100"), config)
    images = arcface_input(golden["in_images_nchw_rgb_uint8"].transpose(0, 2, 3, 1))
    apply = jax.jit(ArcFace.from_config(config).apply, static_argnames=("last_norm",))
    without = apply(variables, images, last_norm=False)[:1]
    expected = golden["out_batch1_without_last_bn"]
    np.testing.assert_allclose(without, expected, atol=1e-4 * expected.std())
    out = np.asarray(apply(variables, images))
    expected = golden["out_embedding"]
    np.testing.assert_allclose(out, expected, atol=1e-4 * expected.std())
    unit = out / np.linalg.norm(out, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, golden["out_normalized"], atol=1e-5)


def test_fresh_variables_have_the_published_layout():
    name = "arcface_iresnet100"
    net = ArcFace.from_config({"layers": [1, 1, 1, 1]})
    fresh = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 112, 112, 3)))
    shapes = published.shapes(name)
    state = {
        key: np.broadcast_to(np.float32(0), shape)
        for key, shape in shapes.items()
        if not key.startswith("layer") or ".0." in key[:9]
    }
    converted = convert.arcface(state, {"layers": [1, 1, 1, 1]})
    assert jax.tree.map(jnp.shape, dict(fresh)) == jax.tree.map(jnp.shape, converted)


def test_prelu_has_a_slope_for_each_channel():
    x = jnp.array([[1.0, -1.0], [-2.0, -3.0]])
    out = PReLU().apply({"params": {"slope": jnp.array([0.5, 0.1])}}, x)
    np.testing.assert_allclose(out, [[1.0, -0.1], [-1.0, -0.3]], rtol=1e-6)


@pytest.mark.parametrize(("frozen", "backward"), [(0, 12 + 13), (3, 2 + 3), (4, 0)])
def test_frozen_stages_cost_no_backward_pass(frozen, backward):
    """A convolution has a gradient by its input and one by its kernel; nothing asks for the one by
    the input of the stem, or of the shortcut after a frozen stage."""
    net = ArcFace(blocks=(1, 1, 1, 1), width=4, out_dim=8, frozen_stages=frozen)
    x = jnp.zeros((2, 112, 112, 3))
    variables = jax.eval_shape(net.init, jax.random.key(0), x)

    def figure(params, stats):
        held = {"params": params, "batch_stats": stats}
        out, moved = net.apply(held, x, train=True, mutable=["batch_stats"])
        return out.sum(), moved

    step = jax.make_jaxpr(jax.grad(figure, has_aux=True))(
        variables["params"], variables["batch_stats"]
    )
    assert str(step).count("conv_general_dilated") == 13 + backward

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import convert
from ofer_jax.models import FaRL, farl_input
from tests import published

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile


@pytest.mark.slow
def test_agrees_with_the_golden_values():
    golden, config = published.golden("farl_vit_b16"), published.config("farl_vit_b16")
    variables = convert.farl(published.state_dict("farl_vit_b16"), config)
    images = farl_input(jnp.asarray(golden["in_images_nhwc_rgb_uint8"]))
    out = jax.jit(FaRL.from_config(config).apply)(variables, images)
    expected = golden["out_embedding"]
    np.testing.assert_allclose(out, expected, atol=1e-4 * expected.std())


def test_fresh_variables_have_the_published_layout():
    config = {**published.config("farl_vit_b16"), "layers": 2}
    fresh = jax.eval_shape(
        FaRL.from_config(config).init, jax.random.key(0), jnp.zeros((1, 224, 224, 3))
    )
    state = {
        key: np.broadcast_to(np.float32(0), shape)
        for key, shape in published.shapes("farl_vit_b16").items()
        if "resblocks" not in key or int(key.split(".")[3]) < 2
    }
    converted = convert.farl(state | {"positional_embedding": np.zeros(3)}, config)
    assert jax.tree.map(jnp.shape, dict(fresh)) == jax.tree.map(jnp.shape, converted)


def test_a_picture_that_does_not_split_into_patches_is_refused():
    with pytest.raises(ValueError, match="30 x 32 does not split into patches of 16"):
        jax.eval_shape(FaRL(depth=1).init, jax.random.key(0), jnp.zeros((1, 30, 32, 3)))

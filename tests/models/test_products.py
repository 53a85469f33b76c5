"""Kernels in bfloat16 under a float32 input: what is rounded, and what is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax.models import ArcFace, layers, products

BF16 = jnp.bfloat16


def rounded(x: np.ndarray) -> np.ndarray:
    return np.asarray(x.astype(BF16), np.float64)


def test_a_layer_rounds_what_it_multiplies_and_adds_up_in_float32(rng) -> None:
    x, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 300), (300, 16)))
    bias = rng.normal(size=16).astype(np.float32)
    params = {"params": {"kernel": kernel.astype(BF16), "bias": bias}}
    out = jax.jit(layers.dense(16).apply)(params, x)
    assert out.dtype == jnp.float32
    expected = rounded(x) @ rounded(kernel) + bias
    np.testing.assert_allclose(out, expected, atol=2e-6 * np.abs(expected).max())
    assert np.abs(x @ kernel + bias - expected).max() > 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("pixels", "channels", "size", "stride"),
    [(10, 8, 3, 1), (10, 8, 3, 2), (7, 8, 3, 2), (10, 8, 1, 2), (3, 16, 3, 1)],
)
def test_a_convolution_is_a_sum_of_products(pixels, channels, size, stride, rng) -> None:
    x = rng.normal(size=(2, pixels, pixels, channels)).astype(np.float32)
    kernel = rng.normal(size=(size, size, channels, 12)).astype(np.float32)
    net = layers.conv(12, size=size, stride=stride)
    out = jax.jit(net.apply)({"params": {"kernel": kernel.astype(BF16)}}, x)
    plain = {"params": {"kernel": rounded(kernel).astype(np.float32)}}
    expected = net.apply(plain, rounded(x).astype(np.float32))
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, expected, atol=1e-5 * np.abs(expected).max())


def test_kernels_that_meet_many_rows_are_narrowed() -> None:
    def kernels(*shape: int) -> dict[str, np.ndarray]:
        return {"kernel": np.zeros(shape, np.float32)}

    kept = {"fc": kernels(32, 16), "mean_0": kernels(32, 16), "time_linear_0": kernels(16, 16)}
    kept |= {"conv": kernels(3, 3, 3, 64), "linear_4": kernels(64, 1), "g": np.ones(16)}
    changed = {"linear_0": kernels(32, 16), "conv_1": kernels(3, 3, 8, 8), "mlp_in": kernels(8, 16)}
    found = products.narrow({"idgen": {"net": kept | changed, "regressor": changed}})["idgen"]
    assert all(leaf.dtype != BF16 for name in kept for leaf in jax.tree.leaves(found["net"][name]))
    assert all(found["net"][name]["kernel"].dtype == BF16 for name in changed)
    assert all(leaf.dtype != BF16 for leaf in jax.tree.leaves(found["regressor"]))


def test_convolutions_stay_whole_for_other_devices() -> None:
    net = ArcFace(blocks=(1, 1, 1, 1), width=8, out_dim=8)
    images = jax.ShapeDtypeStruct((2, 112, 112, 3), jnp.float32)
    fresh = jax.eval_shape(net.init, jax.random.key(0), images)
    narrow = products.narrow(jax.tree.map(lambda a: np.broadcast_to(np.float32(0), a.shape), fresh))
    traced = jax.jit(net.apply).trace(narrow, images)
    whole = {
        name: traced.lower(lowering_platforms=(name,)).as_text().count("stablehlo.convolution")
        for name in ("cpu", "cuda", "tpu")
    }
    assert whole == {"cpu": 1, "cuda": 13, "tpu": 13}  # the stem has three channels only

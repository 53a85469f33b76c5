"""BatchNorm by PyTorch's conventions, on however many devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import sharding
from ofer_jax.models.layers import BatchNorm


def pytorchs(
    x: np.ndarray, variables: dict[str, dict[str, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(output, running mean, running variance) of torch.nn.BatchNorm2d in training, channels last:
    the biased variance normalises, the unbiased one is remembered."""
    rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
    params, stats = variables["params"], variables["batch_stats"]
    normal = (x - rows.mean(0)) / np.sqrt(rows.var(0, ddof=0) + 1e-5)
    running_mean = 0.9 * stats["mean"] + 0.1 * rows.mean(0)
    running_var = 0.9 * stats["var"] + 0.1 * rows.var(0, ddof=1)
    return normal * params["scale"] + params["bias"], running_mean, running_var


@pytest.fixture
def variables(rng: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
    def draw() -> np.ndarray:
        return rng.uniform(0.5, 2, 4).astype(np.float32)

    return {
        "params": {"scale": draw(), "bias": draw()},
        "batch_stats": {"mean": draw(), "var": draw()},
    }


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 3, 4)])
def test_training_is_pytorchs(shape, variables, rng) -> None:
    x = (3 + 2 * rng.standard_normal(shape)).astype(np.float32)
    out, moved = BatchNorm(True).apply(variables, x, mutable=["batch_stats"])
    expected, mean, var = pytorchs(x, variables)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    np.testing.assert_allclose(moved["batch_stats"]["mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(moved["batch_stats"]["var"], var, rtol=1e-6)


def test_inference_goes_by_the_running_statistics_alone(variables, rng) -> None:
    x = rng.standard_normal((5, 4)).astype(np.float32)
    together = BatchNorm(False).apply(variables, x)
    alone = BatchNorm(False).apply(variables, x[:1])
    np.testing.assert_allclose(together[:1], alone, rtol=1e-6)
    stats = variables["batch_stats"]
    expected = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    expected = expected * variables["params"]["scale"] + variables["params"]["bias"]
    np.testing.assert_allclose(together, expected, atol=1e-6)


def test_a_batch_spread_over_devices_is_one_batch(variables, rng) -> None:
    x = rng.standard_normal((16, 3, 4)).astype(np.float32) * np.arange(1, 17).reshape(16, 1, 1)

    @jax.jit
    def train(variables, x):
        return BatchNorm(True).apply(variables, x, mutable=["batch_stats"])

    one = train(variables, jnp.asarray(x, jnp.float32))
    spread = jax.device_put(x.astype(np.float32), sharding.of_batch(sharding.make_mesh()))
    eight = train(variables, spread)
    assert len(spread.sharding.device_set) == 8
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one, eight)


def test_one_value_a_channel_cannot_be_normalised(variables) -> None:
    with pytest.raises(ValueError, match="cannot train on one picture"):
        BatchNorm(True).apply(variables, jnp.zeros((1, 4)), mutable=["batch_stats"])

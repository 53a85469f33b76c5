"""The PyTorch steps that we compare with train, and see what ours see (skipped without PyTorch)."""

import numpy as np
import pytest

from ofer_jax.diffusion import schedule
from ofer_jax.tasks import idrank

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install -e '.[torch]'")


def test_the_denoiser_learns(rng) -> None:
    from benchmarks.torch_training import EXPGEN, DenoiserStep

    torch.manual_seed(0)
    step = DenoiserStep(EXPGEN)
    x0, context = (torch.from_numpy(rng.standard_normal((16, n), np.float32)) for n in (53, 1024))
    losses = [step(x0, context) for _ in range(30)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_the_tables_are_the_published_ones() -> None:
    from benchmarks.torch_training import Diffusion

    ours = schedule.linear(tables="float32")
    np.testing.assert_allclose(Diffusion().alpha_bar.numpy(), ours.alpha_bar, rtol=1e-4)


def test_the_ranker_sees_our_vertices_and_learns(rng) -> None:
    from benchmarks.torch_training import IdRankStep

    torch.manual_seed(0)
    constants = {
        "template": rng.standard_normal((8, 3), np.float32),
        "directions": rng.standard_normal((8, 3, 300), np.float32),
    }
    step = IdRankStep(constants, count=4)
    shape, context = (
        torch.from_numpy(rng.standard_normal((2, n), np.float32)) for n in (300, 1024)
    )
    drawn = step.candidates(context, steps=2)
    assert drawn.shape == (2, 4, 300) and torch.isfinite(drawn).all()
    expected = idrank.vertices(constants, drawn.numpy())
    np.testing.assert_allclose(step.vertices(drawn), expected, atol=1e-4)
    step.optimizer.param_groups[0]["lr"] = 1e-3
    losses = [step.learn(shape, context, drawn) for _ in range(10)]
    assert losses[-1] < losses[0]

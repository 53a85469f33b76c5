"""The PyTorch networks that we compare with are the published ones (skipped without PyTorch)."""

import numpy as np
import pytest

from tests import published

pytestmark = pytest.mark.usefixtures("optimised")  # golden values hold as users compile

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install -e '.[torch]'")


def loaded(network, name):
    state = {k: torch.from_numpy(v) for k, v in published.state_dict(name).items()}
    network.load_state_dict(state, strict=True)
    return network.eval()


@pytest.mark.parametrize("name", ["denoiser_idgen", "denoiser_expgen"])
def test_denoisers(name):
    from benchmarks import torch_networks

    golden, config = published.golden(name), published.config(name)
    net = loaded(torch_networks.Denoiser(config["dims"], config["context_dim"]), name)
    inputs = [torch.from_numpy(golden[f"in_{key}"]) for key in ("x", "t", "context")]
    with torch.inference_mode():
        out = net(*inputs).numpy()
    expected = golden["out_noise"]
    np.testing.assert_allclose(out, expected, atol=1e-4 * expected.std())


def test_ranker():
    from benchmarks import torch_networks

    golden = published.golden("ranker")
    net = loaded(torch_networks.Ranker(), "ranker")
    with torch.inference_mode():
        out = net(
            torch.from_numpy(golden["in_vertices_mm"]), torch.from_numpy(golden["in_context"])
        )
    expected = golden["out_scores"]
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-4 * expected.std())

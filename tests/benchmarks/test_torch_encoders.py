"""The PyTorch encoders that we compare with are the published ones (skipped without PyTorch)."""

import numpy as np
import pytest

from tests import published

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install -e '.[torch]'")


def loaded(network, name, prefix=""):
    state = published.state_dict(name).items()
    state = {k.removeprefix(prefix): torch.from_numpy(v) for k, v in state if k.startswith(prefix)}
    network.load_state_dict(state, strict=True)
    return network.eval()


@pytest.mark.slow
def test_arcface():
    from benchmarks import torch_encoders

    golden = published.golden("arcface_iresnet100")
    net = loaded(torch_encoders.ArcFace(), "arcface_iresnet100")
    images = golden["in_images_nchw_rgb_uint8"].transpose(0, 2, 3, 1)
    with torch.inference_mode():
        out = net(torch_encoders.arcface_input(torch.from_numpy(images))).numpy()
    expected = golden["out_embedding"]
    np.testing.assert_allclose(out, expected, atol=1e-4 * expected.std())


@pytest.mark.slow
def test_farl():
    from benchmarks import torch_encoders

    golden = published.golden("farl_vit_b16")
    net = loaded(torch_encoders.FaRL(), "farl_vit_b16", "visual.")
    images = torch.from_numpy(golden["in_images_nhwc_rgb_uint8"])
    with torch.inference_mode():
        out = net(torch_encoders.farl_input(images)).numpy()
    expected = golden["out_embedding"]
    np.testing.assert_allclose(out, expected, atol=1e-4 * expected.std())

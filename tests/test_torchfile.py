"""PyTorch's files read without PyTorch: written here, and by PyTorch where it is installed."""

import sys
import tracemalloc
from collections import Counter, OrderedDict, defaultdict

import ml_dtypes
import numpy as np
import pytest

from ofer_jax import torchfile
from tests import torchfiles

BASE = np.random.default_rng(0).normal(size=(10, 12)).astype(np.float32)
FORMATS = pytest.mark.parametrize(
    ("legacy", "protocol"), [(False, 2), (True, 2), (False, 4), (True, 4)]
)


def checkpoint():
    """The kinds of things in a checkpoint, and what they should be read as."""
    types = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
    tensors = {name: np.arange(24).reshape(2, 3, 4).astype(name) for name in types}
    tensors["complex64"] = (np.arange(4) + 1j).astype(np.complex64)
    same = {
        "net": OrderedDict(tensors),
        "views": {"whole": BASE, "part": BASE[2:5, 1::3], "turned": BASE.T},
        "scalar": np.array(3.5),
        "empty": np.zeros((0, 3), np.float32),
        "optimizer": {
            "state": {0: {"step": np.array(3.0, np.float32), "exp_avg": np.ones((2, 2))}},
            "param_groups": [
                {"lr": 1e-4, "betas": (0.9, 0.999), "params": [0, 1], "foreach": None}
            ],
        },
        "scheduler": {"best": float("inf"), "mode": "min", "_last_lr": [1e-4], "num_bad_epochs": 0},
        "milestones": Counter({5: 2, 9: 1}),
        "logs": defaultdict(list, loss=[1.0, 0.5]),
        "names": {"a", "b"},
        "epoch": 7,
    }
    special = {
        "parameter": (torchfiles.Parameter(BASE), BASE),
        "bfloat16": (np.array([1.5, -2.0, 3e38], ml_dtypes.bfloat16), None),
        "kept": (torchfiles.Kept(np.arange(6.0).reshape(2, 3)), np.arange(6.0).reshape(2, 3)),
        "score": (np.float64(0.25), np.float64(0.25)),
        "count": (np.int64(9), np.int64(9)),
        "size": (torchfiles.Called("torch.Size", ((3, 4),)), (3, 4)),
        "device": (torchfiles.Called("torch.device", ("cuda", 1)), "cuda:1"),
    }
    special["bfloat16"] = (special["bfloat16"][0], special["bfloat16"][0].astype(np.float32))
    stored = same | {key: value for key, (value, _) in special.items()}
    return stored, same | {key: value for key, (_, value) in special.items()}


def check_same(found, expected, where=""):
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray) and found.dtype == expected.dtype, where
        np.testing.assert_array_equal(found, expected, err_msg=where)
    elif isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key in expected:
            check_same(found[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected) and len(found) == len(expected), where
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            check_same(one, other, f"{where}/{i}")
    else:
        assert type(found) is type(expected) and found == expected, where


@FORMATS
def test_a_checkpoint_is_read_as_it_was_written(tmp_path, legacy, protocol):
    stored, expected = checkpoint()
    torchfiles.write(path := tmp_path / "model.tar", stored, legacy, protocol)
    check_same(torchfile.read(path), expected)


@FORMATS
def test_tensors_are_read_only_views_of_the_file(tmp_path, legacy, protocol):
    stored = {"whole": BASE, "part": BASE[2:5], "parameter": torchfiles.Parameter(BASE)}
    torchfiles.write(path := tmp_path / "model.tar", stored, legacy, protocol)
    found = torchfile.read(path)
    for value in found.values():
        assert not value.flags.owndata and not value.flags.writeable
        assert np.shares_memory(value, found["whole"])


@pytest.mark.parametrize("legacy", [False, True])
def test_reading_takes_no_memory_for_the_tensors(tmp_path, legacy):
    stored = {
        f"{i}": torchfiles.Lazy((2000, 2000), "float32", lambda i=i: np.full(4_000_000, i))
        for i in range(4)
    }
    torchfiles.write(path := tmp_path / "model.tar", stored, legacy)
    found, peak = measured(path)
    assert path.stat().st_size > 64e6 and peak < 20e6
    assert [float(value[-1, -1]) for value in found.values()] == [0, 1, 2, 3]


def measured(path):
    """What is read, and the peak of memory it took."""
    tracemalloc.start()
    try:
        return torchfile.read(path), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bare_tensor_and_a_missing_file(tmp_path):
    torchfiles.write(path := tmp_path / "bare.pt", BASE)
    check_same(torchfile.read(path), BASE)
    with pytest.raises(FileNotFoundError, match="no file of weights"):
        torchfile.read(tmp_path / "none.pt")


def flat(value):
    """What `torchfile.read` makes of PyTorch's objects."""
    torch = sys.modules["torch"]
    if isinstance(value, torch.Tensor):
        return (value.float() if value.dtype == torch.bfloat16 else value).detach().numpy()
    if isinstance(value, dict):
        return {key: flat(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(map(flat, value))
    return str(value) if isinstance(value, torch.dtype | torch.device) else value


def torch_checkpoint(torch):
    types = "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32"
    types += " float64 complex64 complex128"
    values = torch.arange(6).reshape(2, 3)
    tensors = {name: values.to(getattr(torch, name)) for name in types.split()}
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.PReLU(4))
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    plateau.step(1.0)
    steps = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5, 5])
    base, marked = torch.randn(10, 12), torch.nn.Parameter(torch.randn(3))
    marked.note = "attributes are left out"
    return {
        "tensors": tensors,
        "views": [base, base[2:5, 1::3], base.t(), torch.ones(1).expand(7), torch.zeros(0, 3)],
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedulers": [plateau.state_dict(), steps.state_dict()],
        "parameters": [torch.nn.Parameter(torch.ones(2)), marked, torch.nn.Buffer(torch.ones(2))],
        "others": [torch.Size([1, 2]), torch.float32, torch.device("cuda:1"), base.dtype],
        "random": [torch.get_rng_state(), np.random.get_state()],
        "epoch": 3,
    }


@FORMATS
def test_what_pytorch_writes_is_read(tmp_path, legacy, protocol):
    torch = pytest.importorskip("torch")
    stored = torch_checkpoint(torch)
    torch.save(
        stored,
        path := tmp_path / "model.tar",
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=not legacy,
    )
    check_same(torchfile.read(path), flat(stored))


def test_pytorch_reads_what_our_writer_writes(tmp_path):
    torch = pytest.importorskip("torch")
    for legacy in (False, True):
        torchfiles.write(path := tmp_path / "model.tar", {"a": BASE, "b": BASE[2:5].T}, legacy)
        found = torch.load(path, weights_only=True)
        check_same(flat(found), {"a": BASE, "b": BASE[2:5].T})

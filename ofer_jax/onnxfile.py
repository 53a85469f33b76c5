"""Reads insightface's recognition network, an IResNet, from the ONNX file that PyTorch exported.

The weights of such a file have numbers for names, so they are found by following the graph from its
input. The exporter folds a BatchNorm into the convolution before it, which then has a bias; what is
left of that BatchNorm is the addition of the bias. Files with and without folding are read.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax import pickles

_MAX_BYTES = 1 << 29  # glintr100.onnx has 261 MB
_MAX_OTHER = 1 << 22  # of them what is not weights; parsed, its parts take up to 80 times as much
_EPSILON = 1e-5  # of our BatchNorm, and of PyTorch's
_PASSED = ("Identity", "Dropout", "Squeeze", "Unsqueeze")  # they leave the values as they are
_INSTALL = "onnx is not installed: pip install onnx"

State = dict[str, np.ndarray]


def arcface(path: str | os.PathLike[str]) -> State:
    """The state dict of an IResNet's `.onnx` (glintr100.onnx), under insightface's own names.

        state = onnxfile.arcface("glintr100.onnx")
        state["layer1.0.conv1.weight"].shape  # (64, 64, 3, 3)

    Every array is float32 (`num_batches_tracked` int64). Raises FileNotFoundError if there is no
    such file, and a ValueError of one line if onnx is not installed, or naming what in the file
    does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no ONNX file at {path}")
    try:
        return _Walk(_graph(path)).iresnet()
    except pickles.ERRORS as error:
        raise ValueError(f"{path}: {pickles.short(error)}") from None


def _graph(path: Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise ValueError(_INSTALL) from None
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it has {path.stat().st_size} bytes; at most {_MAX_BYTES} are read")
    data = path.read_bytes()
    _Scan().check(memoryview(data))
    try:
        return onnx.load_model_from_string(data).graph
    except Exception as error:  # protobuf's own kind, which onnx does not show
        raise ValueError(f"not an ONNX file: {pickles.short(error)}") from None


class _Scan:
    """Counts the bytes of a file that are not weights, before anything is made of them.

    A protobuf message is a row of fields: a number and a kind, then a value, or a length and bytes
    (protobuf.dev/programming-guides/encoding). The weights are the fields `float_data` (4) and
    `raw_data` (9) of an `initializer` (5) of the `graph` (7).
    """

    def __init__(self) -> None:
        self.other = 0

    def check(self, data: memoryview) -> None:
        for graph in self.parts(data, 7):
            for tensor in self.parts(graph, 5):
                for _ in self.parts(tensor, 4, 9):
                    pass

    def parts(self, data: memoryview, *numbers: int) -> Iterator[memoryview]:
        """The bytes of the fields of these numbers; all others are counted."""
        at = 0
        while at < len(data):
            start = at
            key, at = _varint(data, at)
            size = {1: 8, 5: 4}.get(key & 7, 0)
            if key & 7 in (0, 2):
                value, at = _varint(data, at)
                size = value if key & 7 == 2 else 0
            elif not size:
                raise ValueError("not an ONNX file: it has fields of no known kind")
            wanted = key & 7 == 2 and key >> 3 in numbers
            self.other += at - start + (0 if wanted else size)
            if self.other > _MAX_OTHER:
                raise ValueError(f"it has more than {_MAX_OTHER} bytes besides its weights")
            if wanted:
                yield data[at : at + size]
            at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while shift < 64 and at < len(data):
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at
    raise ValueError("not an ONNX file: it ends within a number")


class _Walk:
    """Goes along the graph's edges; `at` is where it stands and `last` what it read last."""

    def __init__(self, graph: Any) -> None:
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.after: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.after[name].append(node)
        inputs = [value.name for value in graph.input if value.name not in self.weights]
        if len(inputs) != 1:
            raise ValueError(f"the graph has {len(inputs)} inputs, expected one image")
        self.at, self.channels, self.last = inputs[0], 3, "the input"
        self.seen = {self.at}
        self.state: State = {}

    def iresnet(self) -> State:
        self.convolution("conv1", "bn1", size=3, stride=1)
        self.slopes("prelu")
        stage = block = 0
        while len(self.ways()) == 2:
            shortcut = any(node.op_type == "Conv" for node in self.ways())
            stage, block = (stage + 1, 0) if shortcut else (stage, block + 1)
            self.block(f"layer{stage}.{block}", shortcut)
        self.batch_norm("bn2")
        self.linear("fc")
        self.batch_norm("features")
        return self.state

    def ways(self) -> list[Any]:
        """The nodes that take what stands here, past those that leave values as they are."""
        ways = self.after[self.at]
        while len(ways) == 1 and ways[0].op_type in _PASSED:
            self.move(ways[0])
            ways = self.after[self.at]
        return ways

    def step(self, name: str, *kinds: str) -> Any:
        """Goes over the one node of these kinds that follows."""
        ways = self.ways()
        found = [node for node in ways if node.op_type in kinds]
        if len(found) != 1:
            followers = ", ".join(node.op_type[:40] for node in ways[:5]) or "nothing"
            wanted = " or ".join(kinds)
            raise ValueError(f"after {self.last} comes {followers}; {name} needs {wanted}")
        self.move(found[0])
        self.last = name
        return found[0]

    def move(self, node: Any) -> None:
        self.at = node.output[0]
        if self.at in self.seen:
            raise ValueError(f"after {self.last} the graph goes in a circle")
        self.seen.add(self.at)

    def block(self, name: str, shortcut: bool) -> None:
        start, channels = self.at, self.channels
        self.batch_norm(f"{name}.bn1")
        self.convolution(f"{name}.conv1", f"{name}.bn2", size=3, stride=1)
        self.slopes(f"{name}.prelu")
        self.convolution(f"{name}.conv2", f"{name}.bn3", size=3, stride=2 if shortcut else 1)
        end, out = self.at, self.channels
        self.at, self.channels, self.last = start, channels, f"the start of {name}"
        if shortcut:
            names = f"{name}.downsample.0", f"{name}.downsample.1"
            self.convolution(*names, size=1, stride=2)
        if self.channels != out:
            raise ValueError(f"{name} adds {self.channels} channels to {out}")
        joined = {self.at, end}
        if set(self.step(f"the sum of {name}", "Add").input) != joined:
            raise ValueError(f"{name} does not end in the sum of its two ways")

    def convolution(self, name: str, norm: str, *, size: int, stride: int) -> None:
        node = self.step(name, "Conv")
        settings = {
            "strides": [stride] * 2,
            "pads": [size // 2] * 4,
            "dilations": [1, 1],
            "group": 1,
            "auto_pad": "NOTSET",
        }
        _check(name, node, settings, {"pads": [0] * 4, "strides": [1] * 2})
        weight = self.floats(f"{name}.weight", node.input[1])
        if weight.ndim != 4 or weight.shape[1:] != (self.channels, size, size):
            wanted = ("C", self.channels, size, size)
            raise ValueError(f"{name}.weight has shape {weight.shape}, expected {wanted}")
        self.state[f"{name}.weight"], self.channels = weight, len(weight)
        if len(node.input) == 2:
            self.batch_norm(norm)
        else:
            self.bias(norm, self.floats(f"{name}.bias", node.input[2], self.channels))

    def bias(self, name: str, bias: np.ndarray) -> None:
        """The BatchNorm that does nothing but add a bias: (x - 0) / sqrt(1 - e + e) 1 + bias."""
        one = np.ones_like(bias)
        self.norm(name, one, bias, 0 * one, one * np.float32(1 - _EPSILON))

    def batch_norm(self, name: str) -> None:
        node = self.step(name, "BatchNormalization")
        _check(name, node, {"training_mode": 0}, {})
        parts = ("weight", "bias", "running_mean", "running_var")
        weight, bias, mean, variance = (
            self.floats(f"{name}.{part}", key, self.channels)
            for part, key in zip(parts, node.input[1:], strict=True)
        )
        excess = np.float32(_settings(node).get("epsilon", _EPSILON) - _EPSILON)
        self.norm(name, weight, bias, mean, variance + excess)

    def norm(self, name: str, weight: Any, bias: Any, mean: Any, variance: Any) -> None:
        named = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
        self.state |= {f"{name}.{key}": value for key, value in named.items()}
        self.state[f"{name}.num_batches_tracked"] = np.zeros((), np.int64)

    def slopes(self, name: str) -> None:
        node = self.step(name, "PRelu")
        slopes = self.floats(f"{name}.weight", node.input[1], self.channels, 1, 1)
        self.state[f"{name}.weight"] = slopes.reshape(-1)

    def linear(self, name: str) -> None:
        self.step("the flattening", "Flatten", "Reshape")
        node = self.step(name, "Gemm")
        _check(name, node, {"transA": 0, "transB": 1, "alpha": 1.0, "beta": 1.0}, {"transB": 0})
        weight = self.floats(f"{name}.weight", node.input[1])
        if weight.ndim != 2 or weight.shape[1] % self.channels:
            raise ValueError(f"{name}.weight has shape {weight.shape}, not of {self.channels} maps")
        self.channels = len(weight)
        bias = self.floats(f"{name}.bias", node.input[2], self.channels)
        self.state |= {f"{name}.weight": weight, f"{name}.bias": bias}

    def floats(self, name: str, key: str, *shape: int) -> np.ndarray:
        """A weight as float32; `shape` is what it must have."""
        from onnx import TensorProto, numpy_helper

        tensor = self.weights.get(key)
        if tensor is None:
            raise ValueError(f"{name} is not among the file's weights")
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ValueError(f"{name} lies in another file; save the model as one file")
        if tensor.data_type not in (TensorProto.FLOAT, TensorProto.FLOAT16):
            raise ValueError(f"{name} is of type {tensor.data_type}, not float32 or float16")
        value = numpy_helper.to_array(tensor).astype(np.float32)
        if shape and value.shape != shape:
            raise ValueError(f"{name} has shape {value.shape}, expected {shape}")
        return value


def _settings(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _check(name: str, node: Any, wanted: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Raises ValueError if an attribute is set, or by ONNX's default is, other than `wanted`."""
    found = _settings(node)
    for key, value in wanted.items():
        held = found.get(key, defaults.get(key, value))
        held = held.decode("latin1") if isinstance(held, bytes) else held
        if held != value:
            raise ValueError(f"{name} has {key} {str(held)[:80]}, expected {value}")

"""IResNets as PyTorch exports them to ONNX, made here, with their BatchNorms folded and not."""

import sys

import numpy as np
import pytest

from ofer_jax import convert, onnxfile
from ofer_jax.models import ArcFace
from tests import published

onnx = pytest.importorskip("onnx")
helper = onnx.helper
reference = pytest.importorskip("onnx.reference")

WIDTH, OUT = 4, 6


class Export:
    """Builds the graph of a small IResNet node by node; numbers are its names."""

    def __init__(self, folded, blocks=(1, 1, 1, 1), epsilon=1e-5, seed=0):
        self.folded, self.epsilon = folded, epsilon
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights, self.count = [], [], 0
        at = self.conv("input.1", 3, WIDTH, 3, 1)
        at = self.prelu(at, WIDTH)
        channels = WIDTH
        for stage, count in enumerate(blocks):
            for block in range(count):
                out = WIDTH * 2**stage
                at = self.block(at, channels, out, block == 0)
                channels = out
        at = self.node("Flatten", self.batch_norm(at, channels), axis=1)
        fc = self.weight(OUT, channels * 49, scale=0.1), self.weight(OUT)
        at = self.node("Gemm", at, *fc, transB=1, alpha=1.0, beta=1.0)
        self.out = self.batch_norm(at, OUT)

    def weight(self, *shape, scale=0.3, positive=False):
        value = self.random.normal(scale=scale, size=shape).astype(np.float32)
        self.count += 1
        value = 0.5 + np.abs(value) if positive else value
        self.weights.append(onnx.numpy_helper.from_array(value, str(self.count)))
        return str(self.count)

    def node(self, kind, *inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(kind, inputs, [str(self.count)], **attributes))
        return str(self.count)

    def batch_norm(self, at, channels):
        scale, bias, mean = self.weight(channels, positive=True), *map(self.weight, [channels] * 2)
        variance = self.weight(channels, positive=True)
        inputs = at, scale, bias, mean, variance
        return self.node("BatchNormalization", *inputs, epsilon=self.epsilon)

    def conv(self, at, channels, out, size, stride):
        weight = self.weight(out, channels, size, size)
        settings = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [size // 2] * 4}
        bias = [self.weight(out)] if self.folded else []
        at = self.node("Conv", at, weight, *bias, group=1, dilations=[1, 1], **settings)
        return at if self.folded else self.batch_norm(at, out)

    def prelu(self, at, channels):
        return self.node("PRelu", at, self.weight(channels, 1, 1))

    def block(self, start, channels, out, first):
        at = self.conv(self.batch_norm(start, channels), channels, out, 3, 1)
        at = self.conv(self.prelu(at, out), out, out, 3, 2 if first else 1)
        return self.node("Add", at, self.conv(start, channels, out, 1, 2) if first else start)

    def model(self):
        image = helper.make_tensor_value_info("input.1", 1, [None, 3, 112, 112])
        out = helper.make_tensor_value_info(self.out, 1, [None, OUT])
        graph = helper.make_graph(self.nodes, "torch-jit-export", [image], [out], self.weights)
        # Below version 14 the reference evaluator trains in every BatchNormalization.
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])


def saved(tmp_path, model):
    (path := tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(("folded", "epsilon"), [(True, 1e-5), (False, 1e-5), (False, 2e-3)])
def test_our_network_gives_what_the_graph_gives(tmp_path, folded, epsilon):
    model = Export(folded, (1, 2, 1, 1), epsilon).model()
    images = np.random.default_rng(1).uniform(-1, 1, (2, 112, 112, 3)).astype(np.float32)
    evaluator = reference.ReferenceEvaluator(model)
    (expected,) = evaluator.run(None, {"input.1": images.transpose(0, 3, 1, 2)})
    state = onnxfile.arcface(saved(tmp_path, model))
    variables = convert.arcface(state, {"layers": (1, 2, 1, 1)})
    out = ArcFace(blocks=(1, 2, 1, 1), width=WIDTH, out_dim=OUT).apply(variables, images)
    np.testing.assert_allclose(out, expected, atol=1e-5 * expected.std())


def test_the_state_has_the_published_names(tmp_path):
    blocks = (3, 13, 30, 3)
    state = onnxfile.arcface(saved(tmp_path, Export(True, blocks).model()))
    shapes = published.shapes("arcface_iresnet100")
    assert state.keys() == shapes.keys()
    assert {key: value.ndim for key, value in state.items()} == {
        k: len(n) for k, n in shapes.items()
    }
    kinds = {str(value.dtype) for value in state.values()}
    assert kinds == {"float32", "int64"}


def test_a_folded_norm_only_adds_its_bias(tmp_path):
    export = Export(True)
    state = onnxfile.arcface(saved(tmp_path, export.model()))
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in export.weights}
    np.testing.assert_array_equal(state["bn1.bias"], weights[export.nodes[0].input[2]])
    np.testing.assert_array_equal(state["bn1.weight"], np.ones(WIDTH))
    scale = 1 / np.sqrt(state["bn1.running_var"] + np.float32(1e-5))
    np.testing.assert_allclose(scale, 1, rtol=1e-7)


def test_half_precision_and_idle_nodes_are_read(tmp_path):
    export = Export(True)
    for tensor in export.weights:
        half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
    flatten = next(node for node in export.nodes if node.op_type == "Flatten")
    idle = helper.make_node("Dropout", [flatten.input[0]], ["kept"])
    flatten.input[0] = "kept"
    export.nodes.insert(0, idle)
    state = onnxfile.arcface(saved(tmp_path, export.model()))
    assert {str(v.dtype) for v in state.values()} == {"float32", "int64"}


def refused(path):
    with pytest.raises(ValueError) as caught:
        onnxfile.arcface(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message and len(message) < 400
    return message


def node(export, kind, index=0):
    return [node for node in export.nodes if node.op_type == kind][index]


def attribute(found, name):
    return next(item for item in found.attribute if item.name == name)


def other_kind(export):
    node(export, "PRelu").op_type = "Relu"


def wide_pads(export):
    attribute(node(export, "Conv"), "pads").ints[:] = [0] * 4


def wrong_stride(export):
    attribute(node(export, "Conv", 2), "strides").ints[:] = [1] * 2


def turned(export):
    attribute(node(export, "Gemm"), "transB").i = 0


def lost(export):
    del export.weights[3]


def elsewhere(export):
    export.weights[0].data_location = onnx.TensorProto.EXTERNAL
    export.weights[0].external_data.add(key="location", value="../../secret")


def short(export):
    export.weights[0].raw_data = export.weights[0].raw_data[:-4]


def boastful(export):
    export.weights[0].dims[0] = 1 << 40


def whole_numbers(export):
    export.weights[0].data_type = onnx.TensorProto.INT32


def circle(export):
    export.nodes[:] = [helper.make_node("Identity", ["input.1"], ["input.1"])]


def other_sum(export):
    sums = node(export, "Add")
    sums.input[1] = sums.input[0]


def unfinished(export):
    del export.nodes[-1]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (other_kind, "after conv1 comes Relu; prelu needs PRelu"),
        (wide_pads, "conv1 has pads [0, 0, 0, 0], expected [1, 1, 1, 1]"),
        (wrong_stride, "layer1.0.conv2 has strides [1, 1], expected [2, 2]"),
        (turned, "fc has transB 0, expected 1"),
        (lost, "layer1.0.bn1.weight is not among the file's weights"),
        (elsewhere, "conv1.weight lies in another file"),
        (short, "cannot reshape"),
        (boastful, "cannot reshape"),
        (whole_numbers, "conv1.weight is of type 6"),
        (circle, "in a circle"),
        (other_sum, "layer1.0"),
        (unfinished, "after fc comes nothing; features needs BatchNormalization"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, damage, said):
    export = Export(True)
    damage(export)
    assert said in refused(saved(tmp_path, export.model()))


@pytest.mark.parametrize(
    "data", [b"", b"hello, world", b"\xff" * 1000, b"\x3a\xff\xff\xff\xff\x0f"]
)
def test_another_file_is_one_line(tmp_path, data):
    (path := tmp_path / "net.onnx").write_bytes(data)
    refused(path)


def test_a_truncated_file_is_one_line(tmp_path):
    path = saved(tmp_path, Export(True).model())
    path.write_bytes(path.read_bytes()[:-100])
    assert "not an ONNX file" in refused(path)


def test_many_small_parts_are_refused_before_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(onnxfile, "_MAX_OTHER", 20_000)
    export = Export(True)
    onnxfile.arcface(saved(tmp_path, export.model()))
    export.nodes += [onnx.NodeProto()] * 20_000
    assert "20000 bytes besides its weights" in refused(saved(tmp_path, export.model()))


def test_no_file_and_no_package_are_said(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no ONNX file"):
        onnxfile.arcface(tmp_path / "net.onnx")
    path = saved(tmp_path, Export(True).model())
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install onnx" in refused(path)

"""Made-up ONNX models that insightface takes for a pack: a detector of bright squares, landmarks,
an embedding.

The detector has SCRFD's nine outputs; at stride 32 a cell that is brighter than 7/8 is a face whose
box is the cell. Needs onnx.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

from ofer_jax.faces import align

STRIDES = (8, 16, 32)
FIVE = align.ARCFACE_TEMPLATE / 112  # of the cell's side


def write(folder: Path, *kinds: str) -> Path:
    """Writes models of the kinds asked for: 'detector', 'points_68', 'points_106', 'arcface'."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "detector": detector,
        "points_68": lambda: landmarks(3309, points(68, 3)),
        "points_106": lambda: landmarks(212, points(106, 2)),
        "arcface": arcface,
    }
    for kind in kinds:
        save(made[kind](), folder / f"{kind}.onnx")
    return folder


def points(count: int, dimensions: int) -> np.ndarray:
    """What the landmarks' network answers to anything, -1 to 1 of its crop, [count, dimensions]."""
    return np.linspace(-0.5, 0.5, count * dimensions, dtype=np.float32).reshape(count, dimensions)


def detector():
    """Picture [1, 3, H, W] -> scores, boxes, five points of two anchors a cell at three strides."""
    nodes = [helper.make_node("ReduceMean", ["input", "axis"], ["grey"], keepdims=1)]
    constants = {
        "axis": np.array([1]),
        "column": np.array([-1, 1]),
        "slope": np.array(4, np.float32),
        "limit": np.array(0.5, np.float32),  # 3/4 of the brightness scores 0, 7/8 scores 1
        "low": np.array(0, np.float32),
        "high": np.array(1, np.float32),
        "box_0": np.zeros((1, 4), np.float32),
        "box_1": np.array([0, 0, 1, 1], np.float32),
        "five_0": np.zeros((1, 10), np.float32),
        "five_1": FIVE.reshape(10).astype(np.float32),
    }
    for stride in STRIDES:
        constants[f"on_{stride}"] = np.array(float(stride == 32), np.float32)
        pool = {"kernel_shape": [stride] * 2, "strides": [stride] * 2}
        s = str(stride)
        nodes += [
            helper.make_node("AveragePool", ["grey"], [f"pool_{s}"], **pool),
            helper.make_node("Concat", [f"pool_{s}"] * 2, [f"anchors_{s}"], axis=1),
            helper.make_node("Transpose", [f"anchors_{s}"], [f"last_{s}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"last_{s}", "column"], [f"rows_{s}"]),
            helper.make_node("Sub", [f"rows_{s}", "limit"], [f"over_{s}"]),
            helper.make_node("Mul", [f"over_{s}", "slope"], [f"steep_{s}"]),
            helper.make_node("Clip", [f"steep_{s}", "low", "high"], [f"clipped_{s}"]),
            helper.make_node("Mul", [f"clipped_{s}", f"on_{s}"], [f"score_{s}"]),
            *_constant_rows(f"score_{s}", "box", f"box_{s}"),
            *_constant_rows(f"score_{s}", "five", f"five_{s}"),
        ]
    outputs = [f"{what}_{s}" for what in ("score", "box", "five") for s in STRIDES]
    return _model(nodes, constants, [1, 3, "H", "W"], {name: ["N", None] for name in outputs})


def landmarks(length: int, found: np.ndarray):
    """Crop [1, 3, 192, 192] -> the same points [1, length] for every crop, at the end."""
    answer = np.zeros((1, length), np.float32)
    answer[0, length - found.size :] = found.reshape(-1)
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "answer"], ["points"]),
    ]
    constants = {"axes": np.array([1, 2, 3]), "zero": np.zeros((1, 1), np.float32)}
    shape = {"points": [1, length]}
    return _model(nodes, constants | {"answer": answer}, [1, 3, 192, 192], shape)


def arcface():
    """Crops [B, 3, 112, 112] -> the mean of each channel [B, 3], -1 to 1."""
    nodes = [helper.make_node("ReduceMean", ["input", "axes"], ["embedding"], keepdims=0)]
    constants = {"axes": np.array([2, 3])}
    return _model(nodes, constants, ["B", 3, 112, 112], {"embedding": ["B", 3]})


def _constant_rows(rows: str, name: str, out: str) -> list:
    """For each row the same constant."""
    return [
        helper.make_node("MatMul", [rows, f"{name}_0"], [f"{out}_zeros"]),
        helper.make_node("Add", [f"{out}_zeros", f"{name}_1"], [out]),
    ]


def _model(nodes: list, constants: dict, shape: list, outputs: dict[str, list]):
    float32 = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "made_up",
        [helper.make_tensor_value_info("input", float32, shape)],
        [helper.make_tensor_value_info(name, float32, dims) for name, dims in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    return model

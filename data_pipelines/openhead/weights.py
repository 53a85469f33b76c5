"""Builds the weights of the open face networks: blazeface.npz, facemesh.npz, dlib.npz.

Run once, from the unzipped archives of two packages (nothing of them is imported):

    python -m data_pipelines.openhead.weights --mediapipe DIR --face-api DIR [--out DIR]

- PyPI `mediapipe==0.10.21` (Apache-2.0): `face_detection_short_range.tflite` and
  `face_landmark.tflite`. A TFLite file is a list of operators on numbered tensors; we keep that
  list as JSON (`graph`) beside the constant arrays (half floats, as they come).
- npm `@vladmandic/face-api@1.7.15` (MIT; the network is dlib's, public domain):
  `face_recognition_model.bin`, uint8 arrays with scale and minimum, kept quantised here too.

Beside FaceMesh's weights stand `mirror` [468] (each point's counterpart on the other side) and
`canonical` [468, 3] (a mean face: centred, symmetric, root mean square radius 1), measured with
these very networks on two public-domain photographs (skimage's astronaut, matplotlib's Grace
Hopper).

Reading TFLite needs the package `tflite` (schema bindings), the photographs scikit-image and
matplotlib; only this script does.
"""

import argparse
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax import atomic

MEDIAPIPE_FILES = {
    "blazeface": "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    "facemesh": "mediapipe/modules/face_landmark/face_landmark.tflite",
}
FACE_API_MODEL = "package/model/face_recognition_model"
_DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}  # TensorType FLOAT32, FLOAT16, INT32
_PADDING = {0: "SAME", 1: "VALID"}


def read_tflite(path: Path) -> dict[str, np.ndarray]:
    """The operators (JSON) and constants of a float TFLite model.

    Returns `graph`, a JSON text {"input": id, "outputs": [ids], "nodes": [{op, in, out, ...}]}, and
    `t<ID>` for each constant: convolution kernels as [H, W, I, O], depthwise as [H, W, C].
    """
    import tflite

    model: Any = tflite.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    constants = {
        i: value
        for i in range(graph.TensorsLength())
        if (value := _constant(model, graph.Tensors(i))) is not None
    }
    nodes: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for name, operator in _operators(model, graph):
        inputs = [int(i) for i in operator.InputsAsNumpy()]
        output = int(operator.Outputs(0))
        if name == "DEQUANTIZE":  # half floats unpacked when run: the constant itself, for us
            constants[output] = constants[inputs[0]]
            continue
        node = {"op": name, "out": output, **_options(name, operator, graph, inputs, constants)}
        weights = [i for i in inputs if i in constants and name not in ("PAD", "RESHAPE")]
        node["in"] = [i for i in inputs if i not in constants]
        node["weights"] = [f"t{i}" for i in weights]
        arrays |= {f"t{i}": _kernel(name, constants[i]) for i in weights}
        nodes.append(node)
    ends = {"input": int(graph.Inputs(0)), "outputs": [int(i) for i in graph.OutputsAsNumpy()]}
    return {"graph": np.array(json.dumps({**ends, "nodes": nodes})), **arrays}


def _operators(model: Any, graph: Any) -> Iterator[tuple[str, Any]]:
    import tflite

    names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        yield names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())], operator


def _constant(model: Any, tensor: Any) -> np.ndarray | None:
    data = model.Buffers(tensor.Buffer())
    if data.DataLength() == 0:
        return None
    shape = tensor.ShapeAsNumpy() if tensor.ShapeLength() else ()
    return data.DataAsNumpy().view(_DTYPES[tensor.Type()]).reshape(shape)


def _options(
    name: str, operator: Any, graph: Any, inputs: list[int], constants: dict[int, np.ndarray]
) -> dict[str, Any]:
    """What an operator needs beside its inputs, as JSON values."""
    import tflite

    kinds = {
        "CONV_2D": tflite.Conv2DOptions,
        "DEPTHWISE_CONV_2D": tflite.DepthwiseConv2DOptions,
        "MAX_POOL_2D": tflite.Pool2DOptions,
    }
    if name == "PAD":
        return {"pads": constants[inputs[1]].tolist()}
    if name == "RESHAPE":
        return {"shape": graph.Tensors(operator.Outputs(0)).ShapeAsNumpy().tolist()}
    if name not in kinds:
        return {}
    options: Any = kinds[name]()
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    if options.FusedActivationFunction() or options.StrideH() != options.StrideW():
        raise ValueError(f"{name}: fused activations and uneven strides are not expected here")
    size = [options.FilterHeight(), options.FilterWidth()] if name == "MAX_POOL_2D" else None
    return {"stride": options.StrideH(), "padding": _PADDING[options.Padding()], "size": size}


def _kernel(name: str, value: np.ndarray) -> np.ndarray:
    if name == "CONV_2D" and value.ndim == 4:
        return np.ascontiguousarray(value.transpose(1, 2, 3, 0))
    if name == "DEPTHWISE_CONV_2D" and value.ndim == 4:
        return value[0]
    if name == "PRELU":
        return value.reshape(-1)
    return value


def read_face_api(model: Path) -> dict[str, np.ndarray]:
    """Arrays of a tfjs weights manifest: `NAME` uint8 with `NAME_scale`, `NAME_min`, or float16.

    A stored array q stands for q * scale + min.
    """
    manifest = json.loads(Path(f"{model}-weights_manifest.json").read_text())
    data, start = Path(f"{model}.bin").read_bytes(), 0
    arrays: dict[str, np.ndarray] = {}
    for entry in (e for group in manifest for e in group["weights"]):
        quantization = entry.get("quantization")
        dtype = np.dtype(quantization["dtype"] if quantization else entry["dtype"])
        count = int(np.prod(entry["shape"]))
        value = np.frombuffer(data, dtype, count, start).reshape(entry["shape"])
        start += count * dtype.itemsize
        if quantization:
            arrays[entry["name"]] = value
            arrays[entry["name"] + "_scale"] = np.array(quantization["scale"], np.float32)
            arrays[entry["name"] + "_min"] = np.array(quantization["min"], np.float32)
        else:
            arrays[entry["name"]] = value.astype(np.float16)
    if start != len(data):
        raise ValueError(f"{model}.bin: {len(data)} bytes, the manifest tells of {start}")
    return arrays


def mean_face() -> dict[str, np.ndarray]:
    """`mirror` and `canonical` from the public-domain photographs and their mirror images."""
    import matplotlib
    import skimage.data
    from PIL import Image

    from ofer_jax.faces import align

    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    photographs = [skimage.data.astronaut()[..., :3], np.asarray(Image.open(hopper).convert("RGB"))]
    pairs = [(_settled_points(p), _settled_points(p[:, ::-1])) for p in photographs]
    distance = np.zeros((468, 468))
    for photograph, (plain, mirrored) in zip(photographs, pairs, strict=True):
        flipped = mirrored * [-1, 1, 1] + [photograph.shape[1] - 1, 0, 0]
        for _ in range(10):  # closest points, aligned again and again
            apart = np.linalg.norm(flipped[:, None] - plain, axis=-1)
            flipped = align.apply(align.umeyama(flipped, plain[apart.argmin(1)]), flipped)
        distance += np.linalg.norm(flipped[:, None] - plain, axis=-1) / np.ptp(plain[:, 0])
    mirror = (distance + distance.T).argmin(1)
    if (mirror[mirror] != np.arange(468)).any():
        raise ValueError("the mirror images do not pair FaceMesh's points one to one")
    faces = [p for plain, _ in pairs for p in (plain, plain[mirror] * [-1, 1, 1])]
    mean = faces[0] - faces[0].mean(0)
    for _ in range(10):
        mean = np.mean([align.apply(align.umeyama(p, mean), p) for p in faces], axis=0)
        mean = (mean + mean[mirror] * [-1, 1, 1]) / 2
        mean /= np.sqrt((mean**2).sum(1).mean())
    return {"mirror": mirror.astype(np.int32), "canonical": mean.astype(np.float32)}


def _settled_points(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    from ofer_jax.faces import detector, mesh

    picture = Image.fromarray(image)
    box, keypoints, _ = detector.find([picture], [detector.whole(*picture.size)])[0][0]
    points, _ = mesh.find([picture], [mesh.crop_matrix(box, keypoints)])
    for _ in range(3):
        points, _ = mesh.find([picture], [mesh.refined_matrix(points[0])])
    return points[0]


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes an npz in one piece (a half-written file never stands under the final name)."""
    with atomic.writing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, crc {zlib.crc32(path.read_bytes()):x}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the open face networks' weights.")
    parser.add_argument("--mediapipe", type=Path, required=True, help="unzipped mediapipe wheel")
    parser.add_argument("--face-api", type=Path, required=True, help="unzipped face-api package")
    parser.add_argument("--out", type=Path, default=Path("ofer_jax/openhead"))
    args = parser.parse_args()
    for name, file in MEDIAPIPE_FILES.items():
        save(args.out / f"{name}.npz", read_tflite(args.mediapipe / file))
    save(args.out / "dlib.npz", read_face_api(args.face_api / FACE_API_MODEL))
    face_mesh = read_tflite(args.mediapipe / MEDIAPIPE_FILES["facemesh"])
    save(args.out / "facemesh.npz", {**face_mesh, **mean_face()})  # mean_face runs these weights


if __name__ == "__main__":
    main()

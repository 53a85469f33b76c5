"""The exported chain: any number of faces, three platforms, and nothing of ours to run it."""

import importlib.util
import json
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
from jax.experimental import topologies

import ofer_jax
from ofer_jax import bundle, export, faces, photos, trees
from ofer_jax.export import features, manifest
from ofer_jax.reconstruct import Found, Reconstruction, Reconstructor
from tests import toy, untrained

ASTRONAUT = Path(__file__).resolve().parents[1] / "launch" / "demo_photos" / "astronaut.jpg"
COUNTS = {"shapes": 4, "expressions": 3}
# What jax needs beside the standard library, by the folders that pip installs.
NEEDED = ("jax", "jaxlib", "numpy", "numpy.libs", "scipy", "scipy.libs", "ml_dtypes", "opt_einsum")
NEEDED += ("flatbuffers",)
STRANGE = ("ofer_jax", "flax", "optax", "safetensors", "PIL")
BARE = f"""
import runpy, sys
sys.path.append(sys.argv[1])  # without site-packages: `python -I -S`
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
for name in {STRANGE}:
    assert name not in sys.modules
    try:
        __import__(name)
    except ModuleNotFoundError:
        print("no", name)
"""


@pytest.fixture(scope="module")
def found() -> list[Found]:
    """One face as three, which differ in their random key."""
    photo = photos.read(ASTRONAUT)
    (face,) = faces.detect(photo.image)
    return [Found(photo, face, number, ()) for number in range(3)]


@pytest.fixture(scope="module")
def reconstructor(tmp_path_factory: pytest.TempPathFactory) -> Reconstructor:
    """Untrained networks on the open head and the open features."""
    return ofer_jax.load(untrained.save(tmp_path_factory.mktemp("untrained") / "bundle"))


@pytest.fixture(scope="module")
def expected(reconstructor: Reconstructor, found: list[Found]) -> list[Reconstruction]:
    """What `ofer reconstruct` finds."""
    return reconstructor.run(found, **COUNTS)


@pytest.fixture(scope="module")
def program(reconstructor: Reconstructor) -> export.Program:
    return export.build(reconstructor, **COUNTS)


@pytest.fixture(scope="module")
def folder(
    reconstructor: Reconstructor,
    program: export.Program,
    found: list[Found],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("export") / "exported"
    export.save(program, path, export.inputs(reconstructor, found[:1]))
    return path


def loader(folder: Path) -> types.ModuleType:
    """The folder's load.py as a module."""
    spec = importlib.util.spec_from_file_location("load", folder / "load.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_same(outputs: Any, expected: list[Reconstruction]) -> None:
    """Metres to a micron, pixels to a hundredth, coefficients to a thousandth."""
    bars = dict.fromkeys(("vertices", "posed_vertices", "landmarks", "spread"), 1e-6)
    bars |= dict.fromkeys(("camera", "landmarks_px"), 1e-2)
    for i, each in enumerate(expected):
        for name, values in outputs.items():
            bar = bars.get(name, 1e-3)
            np.testing.assert_allclose(values[i], getattr(each, name), atol=bar, err_msg=name)


def test_one_program_for_any_number_of_faces_and_all_platforms(
    reconstructor: Reconstructor,
    program: export.Program,
    folder: Path,
    found: list[Found],
    expected: list[Reconstruction],
) -> None:
    assert program.exported.platforms == ("cpu", "cuda", "tpu")
    outputs = loader(folder).run(export.inputs(reconstructor, found))
    assert outputs["vertices"].shape == (3, 4, reconstructor.head.num_vertices, 3)
    assert_same(outputs, expected)


def test_the_loader_runs_where_only_jax_is(
    folder: Path, expected: list[Reconstruction], tmp_path: Path
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in NEEDED:
        source = Path(np.__file__).parents[1] / name
        if source.exists():
            (packages / name).symlink_to(source)
    target = tmp_path / "outputs.npz"
    words = [packages, folder / "load.py", folder / "example.npz", target]
    line = [sys.executable, "-I", "-S", "-c", BARE, *map(str, words)]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [f"no {name}" for name in STRANGE]
    with np.load(target) as outputs:
        assert_same(outputs, expected[:1])


def test_the_weights_lie_beside_the_program(program: export.Program, folder: Path) -> None:
    text = program.exported.mlir_module()
    constants = re.findall(r"dense<\"0x([0-9A-F]*)\"", text)
    assert max(map(len, constants), default=0) / 2 < 64e3  # schedules and index tables
    told = json.loads((folder / "manifest.json").read_text())
    assert told["files"]["chain.jax"]["bytes"] < 1e6
    data = (folder / "chain.jax").read_bytes()
    assert b"chain.py" in data
    assert str(Path(ofer_jax.__file__).parent).encode() not in data


@pytest.mark.slow
def test_a_tpu_compiler_takes_it(program: export.Program) -> None:
    """Without a TPU, where the package libtpu is installed; some three minutes."""
    pytest.importorskip("libtpu")
    topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    device = jax.sharding.SingleDeviceSharding(topology.devices[0])

    def abstract(kinds: Any) -> dict[str, jax.ShapeDtypeStruct]:
        sizes = {n: [s if isinstance(s, int) else 2 for s in k.shape] for n, k in kinds.items()}
        return {
            n: jax.ShapeDtypeStruct(sizes[n], k.dtype, sharding=device) for n, k in kinds.items()
        }

    exported = program.exported
    arguments = map(abstract, jax.tree.unflatten(exported.in_tree, exported.in_avals)[0])
    compiled = jax.jit(exported.call).lower(*arguments).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 1e9


def test_the_manifest_tells_every_input_and_output(program: export.Program, folder: Path) -> None:
    told = json.loads((folder / "manifest.json").read_text())
    assert told["inputs"]["chip_150"]["shape"] == ["B", 150, 150, 3]
    assert told["inputs"]["key"]["dtype"] == "uint32"
    assert told["outputs"]["landmarks_px"]["shape"] == ["B", 68, 2]
    assert told["head"]["name"] == "open-head-1"
    assert told["jax"] == jax.__version__
    assert "six months" in told["compatibility"]
    assert told["licence"] == manifest.OTHER_LICENCE  # a user's bundle
    with np.load(folder / "example.npz") as example:
        assert set(example) == set(told["inputs"])
    readme = (folder / "README.md").read_text()
    assert all(f"| {name} |" in readme for name in (*told["inputs"], *told["outputs"]))


def test_features_of_crops_are_those_of_photographs(found: list[Found]) -> None:
    face, image = found[0].face, found[0].photo.image
    chips = faces.chip_150(image, face)[None]
    points, presence = face.points[None].astype(np.float32), np.float32([face.presence])
    made = jax.jit(features.of_crops)(features.weights(), chips, points, presence)
    expected = faces.features([image], [face])
    assert expected.std() > 0.3
    np.testing.assert_allclose(made, expected, atol=2e-3)


def crops_reconstructor() -> Reconstructor:
    """Tiny published encoders on the made-up head, the same frozen ArcFace in two tasks."""
    rng, head, configs, params = np.random.default_rng(0), toy.head(), {}, {}

    def fill(name: str, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        drawn = rng.normal(0, 0.3, leaf.shape).astype(np.float32)
        return np.abs(drawn) + 0.1 if name.endswith("var") else drawn

    for name, task in toy.TASKS.items():
        configs[name] = toy.picture_config(name)
        known = task.constants(configs[name], head, toy.REGION)
        made = jax.eval_shape(
            lambda k, t=task, c=configs[name], n=known: t.init(c, k, n), jax.random.key(0)
        )
        params[name] = trees.map_named(fill, made)
    params["expgen"]["encoder"] = params["idrank"]["encoder"]
    surface = {"region_face": toy.REGION, "region_front": toy.REGION}
    return Reconstructor(head, bundle.make(configs, params, head), surface)


@pytest.mark.slow
def test_a_bundle_with_the_published_encoders_takes_their_crops(
    found: list[Found], tmp_path: Path
) -> None:
    made = crops_reconstructor()
    program = export.build(made, **COUNTS)
    kinds = program.manifest["inputs"]
    assert [kinds[f"crop_{size}"]["shape"] for size in (112, 224)] == [
        ["B", size, size, 3] for size in (112, 224)
    ]
    assert "params/expgen/encoder/farl/params/proj/kernel" in program.arrays
    assert "params/idrank/encoder/farl/params/proj/kernel" not in program.arrays  # the same
    export.save(program, tmp_path / "exported")
    outputs = loader(tmp_path / "exported").run(export.inputs(made, found[:2]))
    assert_same(outputs, made.run(found[:2], **COUNTS))


@pytest.mark.parametrize("change", ["missing", "damaged", "foreign"])
def test_a_bad_folder_is_one_line(folder: Path, tmp_path: Path, change: str) -> None:
    for file in folder.iterdir():
        if file.is_file():
            (tmp_path / file.name).symlink_to(file)
    spoilt = tmp_path / "chain.jax"
    data = spoilt.read_bytes()
    spoilt.unlink()
    if change == "damaged":
        spoilt.write_bytes(data[:1000] + b"x" + data[1001:])
    elif change == "foreign":
        spoilt.write_bytes(data)
        (tmp_path / "manifest.json").unlink()
        (tmp_path / "manifest.json").write_text("{")
    words = [sys.executable, "load.py", "example.npz", "out.npz"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("load.py: ")
    assert change == "foreign" or "chain.jax" in done.stderr


def test_wrong_inputs_are_refused(
    reconstructor: Reconstructor, folder: Path, found: list[Found]
) -> None:
    given = export.inputs(reconstructor, found[:1])
    run = loader(folder).run
    with pytest.raises(KeyError, match="key"):
        run({name: value for name, value in given.items() if name != "key"})
    with pytest.raises(TypeError, match=r"float32.*uint8"):
        run(given | {"chip_150": given["chip_150"] / np.float32(255)})
    with pytest.raises(ValueError, match="3"):
        run(given | {"points": given["points"][..., :2]})


def test_only_an_export_is_replaced(program: export.Program, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ValueError, match="holds other things"):
        export.save(program, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "kept"
    export.save(program, tmp_path / "new")
    export.save(program, tmp_path / "new")
    assert {p.name for p in tmp_path.iterdir()} == {"mine.txt", "new"}


def test_counts_and_platforms_are_checked(reconstructor: Reconstructor) -> None:
    with pytest.raises(ValueError, match="at least 2 and 1"):
        export.build(reconstructor, shapes=1)
    with pytest.raises(ValueError, match="choose from cpu, cuda, tpu"):
        export.build(reconstructor, platforms=["abacus"])


def test_arrays_of_bfloat16_come_back(program: export.Program, tmp_path: Path) -> None:
    """NumPy's files know them as bytes alone; the loader asks the program for their type."""
    arrays = {"a": np.array([1, 2, 300], ml_dtypes.bfloat16), "b": np.array(0.5, np.float32)}
    given = {"x": np.ones((2, 3), np.float32)}

    def small(arrays: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        return {"y": given["x"] * arrays["a"][None] * arrays["b"]}

    exported = jax.export.export(jax.jit(small))(arrays, given)
    export.save(export.Program(exported, arrays, program.manifest), tmp_path / "exported")
    outputs = loader(tmp_path / "exported").run(given)
    np.testing.assert_array_equal(outputs["y"], np.tile(np.float32([0.5, 1, 150]), (2, 1)))


def test_the_page_shows_the_loader_and_a_server_that_works(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (root / "docs" / "serving.md").read_text()
    shown, server, _ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert shown == (folder / "load.py").read_text()
    stand_in = types.ModuleType("load")
    stand_in.run = lambda inputs: inputs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "load", stand_in)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(server, names)
    faces = [{"key": np.uint32([i, 7])} for i in range(3)]
    assert [each["key"][0] for each in names["serve"](faces)] == [0, 1, 2]

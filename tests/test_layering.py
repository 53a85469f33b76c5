"""Who may import whom, checked over the syntax trees; and what is imported, checked by importing.

A module-level import must be in the rule of its file's part; an import inside a function ("lazy")
may also name one of the optional packages. `if TYPE_CHECKING:` blocks count as lazy.
"""

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("ofer_jax", "data_pipelines", "configs", "launch")
FILES = sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))

MATHS = {"jax", "numpy", "jaxtyping"}
PLAIN = {"numpy", "jaxtyping"}
PROGRESS = frozenset({"tqdm"})
CORE = {"across", "arrays", "flame", "diffusion", "losses", "metrics", "render", "trees"}
TRAINING = CORE | {
    *("models", "state", "optim", "sharding", "parts", "tasks", "checkpoint", "seals", "train"),
    *("best", "stopping", "nonfinite", "profiling", "gradients"),
}
REPORTS = {"evaluation_page", "evaluate", "quality", "ranking_report"}
REPORTS |= {"occluded_expressions", "photo_checks", "photos"}
EVERYTHING = {"*"}


@dataclass(frozen=True)
class Rule:
    """What one part of the project may import: third-party packages and parts of ofer_jax."""

    packages: set[str]
    parts: set[str]
    lazy: frozenset[str] = frozenset()


MATHS_RULE = Rule(MATHS, CORE)
APPLICATION = Rule(MATHS | {"optax", "tqdm", "PIL"}, EVERYTHING)
# Keyed by the part: the first name below ofer_jax. Any other part (evaluate, reconstruct, cli, ...)
# stands above all of these and follows APPLICATION.
RULES = {
    "atomic": Rule(set(), set()),
    "trees": Rule({"jax"}, set()),
    "pickles": Rule({"numpy"}, {"pickles"}),
    **dict.fromkeys(("across", "arrays", "diffusion", "metrics", "render"), MATHS_RULE),
    "flame": Rule(MATHS, CORE | {"atomic", "pickles"}),
    "losses": Rule(MATHS | {"optax"}, CORE),
    "models": Rule(MATHS | {"flax"}, CORE | {"models"}),
    "compiled": Rule({"jax", "jaxlib", "numpy"}, {"atomic"}),
    "faces": Rule(MATHS | {"PIL"}, {"arrays", "compiled", "faces", "openhead"}),
    "openhead": Rule(PLAIN, {"openhead"}),
    "state": Rule(MATHS | {"optax"}, CORE | {"state", "optim"}),
    "optim": Rule(MATHS | {"optax"}, CORE | {"state", "optim"}),
    "sharding": Rule(MATHS | {"optax"}, CORE | {"state", "optim"}),
    "gradients": Rule(MATHS, {"arrays", "optim"}),
    "checkpoint": Rule(MATHS | {"orbax"}, {"state", "sharding", "seals"}),
    "seals": Rule(set(), {"atomic"}),
    "parts": Rule({"numpy"}, {"atomic"}),
    **dict.fromkeys(("stopping", "profiling"), Rule({"jax"}, set())),
    "writers": Rule(PLAIN | {"tqdm", "PIL"}, {"atomic", "events"}),
    "events": Rule(PLAIN | {"tensorboardX", "google"}, {"atomic"}),
    "convert": Rule(PLAIN, set(), frozenset({"torch", "onnx", "safetensors"})),
    "torchfile": Rule({"numpy"}, {"pickles"}),
    "onnxfile": Rule({"numpy"}, {"pickles"}, frozenset({"onnx"})),
    "bundle": Rule(MATHS | {"safetensors"}, EVERYTHING),
    "tensors": Rule(PLAIN, set()),
    "meshes": Rule(PLAIN | {"trimesh"}, {"atomic", "openhead"}),
    "now": Rule(PLAIN | {"scipy", "tqdm", "PIL"}, EVERYTHING),
    "evaluation_page": Rule({"numpy", "PIL"}, REPORTS),
    "photos": Rule(PLAIN | {"PIL"}, set()),
    "plots": Rule(PLAIN, {"atomic"}, frozenset({"matplotlib"})),
    "tasks": Rule(MATHS | {"optax"}, TRAINING | {"openhead"}, PROGRESS),
    **dict.fromkeys(("best", "nonfinite"), Rule(MATHS | {"optax"}, TRAINING | {"atomic"})),
    "train": Rule(MATHS | {"optax"}, TRAINING, PROGRESS),
}
CORE_MODULES = sorted(TRAINING | {"atomic", "pickles"})
# Everything the core must do without (jax, flax, optax and orbax need none of them to import).
BLOCKED = {
    *("PIL", "safetensors", "trimesh", "tqdm", "tensorboardX", "ml_collections", "grain"),
    *("tensorflow_datasets", "array_record", "matplotlib", "skimage", "torch", "onnx"),
}


def imports(path: Path) -> list[tuple[str, bool]]:
    """(absolute dotted name, is it lazy) of each import in a file."""
    package = path.relative_to(ROOT).parent.parts
    found = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *filter(None, [node.module])))
            # `from ofer_jax import flame` imports the part flame.
            names = [f"{base}.{a.name}" for a in node.names] if "." not in base else [base]
            found.extend((name, lazy) for name in names)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        inside |= isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            visit(child, lazy or inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return found


def part_of(name: str) -> str:
    """`ofer_jax.flame.lbs` -> `flame`; the package itself -> `ofer_jax`."""
    pieces = name.split(".")
    return pieces[1] if len(pieces) > 1 else pieces[0]


def is_part(part: str) -> bool:
    folder = ROOT / "ofer_jax"
    return (folder / part).is_dir() or (folder / f"{part}.py").is_file()


def refused(path: Path, rule: Rule, own_packages: set[str]) -> list[str]:
    """The imports of one file that its rule does not allow."""
    bad = []
    for name, lazy in imports(path):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top in own_packages:
            continue
        if top == "ofer_jax":
            part = part_of(name)
            allowed = rule.parts == EVERYTHING or part in rule.parts or not is_part(part)
        else:
            allowed = top in rule.packages or (lazy and top in rule.lazy)
        if not allowed:
            bad.append(f"{path.relative_to(ROOT)} imports {name}")
    return bad


def relative(folder: str) -> list[Path]:
    return [p for p in FILES if p.relative_to(ROOT).parts[0] == folder]


def test_ofer_jax_parts_import_only_what_their_rule_allows() -> None:
    bad = []
    for path in relative("ofer_jax"):
        pieces = path.relative_to(ROOT).with_suffix("").parts
        part = "ofer_jax" if pieces[1] == "__init__" else pieces[1]
        rule = RULES.get(part, APPLICATION)
        if path.name == "insightface_adapter.py":
            rule = Rule(rule.packages, rule.parts, frozenset({"insightface", "onnxruntime"}))
        bad += refused(path, rule, set())
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    ("name", "owner"),
    [("flax", "models"), ("orbax", "checkpoint.py"), ("trimesh", "meshes.py")],
)
def test_fenced_packages_have_one_home(name: str, owner: str) -> None:
    homes = {
        path.relative_to(ROOT / "ofer_jax").parts[0]
        for path in relative("ofer_jax")
        for imported, _ in imports(path)
        if imported.split(".")[0] == name
    }
    assert homes <= {owner}


def test_configs_import_only_ml_collections() -> None:
    rule = Rule({"ml_collections"}, set())
    bad = [line for path in relative("configs") for line in refused(path, rule, {"configs"})]
    assert not bad, "\n".join(bad)


def test_data_pipelines_import_no_training_and_no_launch() -> None:
    parts = CORE | {"atomic", "parts", "faces", "openhead", "models", "bundle", "photos", "meshes"}
    parts |= {"camera", "compiled", "encoders", "pickles"}
    packages = MATHS | {"PIL", "grain", "tensorflow_datasets", "array_record", "tqdm", "absl"}
    build_only = {"scipy", "tflite", "trimesh"}
    lazy = frozenset({"matplotlib", "skimage", "apache_beam"})
    rule = Rule(packages | build_only, parts, lazy)
    bad = [
        line
        for path in relative("data_pipelines")
        for line in refused(path, rule, {"data_pipelines"})
    ]
    assert not bad, "\n".join(bad)


def test_benchmarks_import_pytorch_in_files_of_their_own() -> None:
    shared = MATHS | {"ml_collections", "tqdm"}
    for path in (ROOT / "benchmarks").glob("*.py"):
        own = {"torch"} if "torch" in path.stem else set()
        own |= {"matplotlib"} if path.stem == "plots" else set()
        rule = Rule(shared | own, EVERYTHING, frozenset({"torch", "body_models"}))
        bad = refused(path, rule, {"benchmarks", "data_pipelines"})
        assert not bad, "\n".join(bad)


def test_nothing_imports_launch_or_tensorflow() -> None:
    for path in FILES:
        tops = {name.split(".")[0] for name, _ in imports(path)}
        assert "tensorflow" not in tops, path
        assert "launch" not in tops or path.is_relative_to(ROOT / "launch"), path


def test_files_stay_small() -> None:
    limits = {path: 80 if path.is_relative_to(ROOT / "launch") else 400 for path in FILES}
    long = {
        str(path.relative_to(ROOT)): lines
        for path, limit in limits.items()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > limit
    }
    assert not long


def module_name(path: Path) -> str:
    pieces = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(pieces[:-1] if pieces[-1] == "__init__" else pieces)


def run_python(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_importing_everything_never_loads_tensorflow() -> None:
    names = [module_name(path) for path in FILES]
    run_python(f"""
import importlib, sys
from absl import flags
for name in {names!r}:
    for flag in [f for f in flags.FLAGS if f not in {{"help", "helpfull", "helpshort", "helpxml"}}]:
        delattr(flags.FLAGS, flag)  # two launch files may use one flag's name
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:  # asset builders need the extra `build`
        if error.name not in {{"tflite", "matplotlib", "skimage", "torch", "insightface"}}:
            raise
assert "tensorflow" not in sys.modules
""")


def test_core_runs_without_the_optional_packages() -> None:
    names = [
        module_name(path)
        for path in relative("ofer_jax")
        if path.relative_to(ROOT / "ofer_jax").with_suffix("").parts[0] in CORE_MODULES
    ]
    run_python(f"""
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"{{name}} is not part of the core", name=name)
sys.meta_path.insert(0, Block())
for name in {names!r}:
    importlib.import_module(name)
""")

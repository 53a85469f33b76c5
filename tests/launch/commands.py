"""Running the launch files with stand-ins for the cluster's commands, and reading what they ran."""

import ast
import importlib
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Notes its name, its words and, if asked to, its input; leaves with the next status of its list.
STAND_IN = """#!{python} -SE
import json, os, pathlib, sys, time
name, folder = os.path.basename(sys.argv[0]), pathlib.Path({folder!r})
read = sys.stdin.read() if name == "kubectl" else ""
with open(folder / "ran.jsonl", "a") as file:
    file.write(json.dumps([name, *sys.argv[1:], read]) + "\\n")
time.sleep(float(os.environ.get("STAND_IN_SECONDS", "0")))
statuses = folder / (name + ".statuses")
left = statuses.read_text().split() if statuses.exists() else []
statuses.write_text(" ".join(left[1:]))
sys.exit(int(left[0]) if left else 0)
"""


@dataclass
class Cluster:
    """A folder of stand-ins for `names`; `statuses` are those of a command's calls, in order."""

    folder: Path
    names: Sequence[str] = ("srun", "scontrol", "kubectl", "xpk", "gcloud")

    def __post_init__(self) -> None:
        for name in self.names:
            path = self.folder / name
            path.write_text(STAND_IN.format(python=sys.executable, folder=str(self.folder)))
            path.chmod(0o755)

    def start(
        self, script: str, *words: str, statuses: str = "", **environment: str
    ) -> subprocess.Popen:
        """Start a launch file from the root of the checkout; `statuses` as 'srun 75 0'."""
        if statuses:
            name, *rest = statuses.split()
            (self.folder / f"{name}.statuses").write_text(" ".join(rest))
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = {"PATH": path, "HOME": str(self.folder), **environment}
        line = ["bash", script, *words]
        return subprocess.Popen(line, cwd=ROOT, env=environment, text=True, **pipes)

    def run(self, script: str, *words: str, statuses: str = "", **environment: str) -> int:
        """The launch file's exit status."""
        process = self.start(script, *words, statuses=statuses, **environment)
        process.communicate(timeout=60)
        return process.returncode

    def ran(self) -> list[list[str]]:
        """Words of each command that was run, the last one what it read."""
        file = self.folder / "ran.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def flags_of(module: str) -> set[str]:
    """Names of the absl flags that `launch.MODULE` defines, itself or by what it imports."""
    found, tree = set(), ast.parse((ROOT / "launch" / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            first = node.args[0] if node.args else None
            if node.func.attr.startswith("DEFINE_") and isinstance(first, ast.Constant):
                found.add(first.value)
        elif isinstance(node, ast.ImportFrom) and node.module == "launch":
            for alias in node.names:
                found |= flags_of(alias.name)
    return found


def wrong_flags(text: str) -> list[str]:
    """What is not real in each `python -m launch.X ...` of a shell text: its module, a flag, its
    config file, or a field of that config."""
    wrong = []
    for module, rest in re.findall(r"-m launch\.(\w+)([^\n&|;]*)", text.replace("\\\n", " ")):
        if not (ROOT / "launch" / f"{module}.py").is_file():
            wrong.append(f"launch.{module}")
            continue
        words = shlex.split(rest, comments=True)
        given = [word.removeprefix("--") for word in words if word.startswith("--")]
        names = [word.partition("=")[0] for word in given]
        known = flags_of(module)
        wrong += [f"--{n}" for n in names if not n.startswith("config.") and n not in known]
        fields = [name.removeprefix("config.") for name in names if name.startswith("config.")]
        wrong += wrong_fields(config_of(words), fields)
    return wrong


def config_of(words: Sequence[str]) -> str:
    """The value of --config, in either spelling; '' without one."""
    for word, following in itertools.pairwise([*words, ""]):
        if word.startswith("--config="):
            return word.partition("=")[2]
        if word == "--config":
            return following
    return ""


def wrong_fields(config: str, fields: Sequence[str]) -> list[str]:
    """The config's path, if there is no such file, or those `fields` that it does not have."""
    if not config:
        return [f"--config.{name} without --config" for name in fields]
    path = config.partition(":")[0]
    if not re.fullmatch(r"configs/\w+\.py", path) or not (ROOT / path).is_file():
        return [config]
    made = importlib.import_module(f"configs.{Path(path).stem}").get_config()
    wrong = []
    for name in fields:
        value = made
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) or hasattr(value, "get") else None
        if value is None:
            wrong.append(f"--config.{name}")
    return wrong

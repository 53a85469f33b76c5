"""The inference bundle: a folder with `config.json` and `params.safetensors`, no pickle.

config = {'format': 1, 'head': {'name', 'sha256', 'release'}, 'tasks': {'idgen': {...}, 'idrank':
{...}, 'expgen': {...}}, 'projection': ..., 'provenance': {...}, 'params_sha256': ...}; a task's
entry is the `config` that `ofer_jax.tasks.*` take, so a bundle needs nothing of `configs/`;
`projection` is the digest of the features' projection that it was trained with ('' if there is
none); `mode`, where it is there, is which of the published program's ways it keeps. Arrays are
named by their path ('idgen/net/...'). Stored as float32 or float16, read as float32. A bundle may
bring its head, with what is known of its surface: `head.npz`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from ofer_jax import atomic, flame, tensors, trees
from ofer_jax.flame import FlameModel

FORMAT = 1
TASKS = ("idgen", "idrank", "expgen")
_HEAD = "head.npz"


@dataclass(frozen=True)
class Bundle:
    """`config` as above; `params[task]` is the tree that `ofer_jax.tasks.<task>` takes."""

    config: dict[str, Any]
    params: dict[str, Any]

    def task(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """(config, params) of 'idgen', 'idrank' or 'expgen'."""
        return self.config["tasks"][name], self.params[name]


def make(
    tasks: Mapping[str, dict[str, Any]],
    params: Mapping[str, Any],
    head: FlameModel,
    provenance: Mapping[str, Any] | None = None,
    projection: str = "",
    mode: str = "",
) -> Bundle:
    """A bundle of the three tasks' configs and params, bound to `head` and to a projection."""
    for name in TASKS:
        if name not in tasks or name not in params:
            raise ValueError(f"a bundle needs {', '.join(TASKS)}; {name} is missing")
    config = {
        "format": FORMAT,
        "head": head.identity,
        "tasks": json.loads(json.dumps(dict(tasks))),
        "projection": projection,
        "provenance": dict(provenance or {}),
        **({"mode": mode} if mode else {}),
    }
    return Bundle(config, dict(params))


def save(
    bundle: Bundle,
    path: str | Path,
    dtype: str = "float32",
    head: FlameModel | None = None,
    surface: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write the folder `path`, params as `dtype`; a bundle that is there already is replaced. With
    `head`, which it must be bound to, the folder brings it, and its `surface` (`flame.surface`).

    Raises:
      ValueError: if `path` holds anything but a bundle, or `head` is another one.
    """
    path = Path(path)
    check_target(path)
    if head is not None:
        check_head(bundle, head, path)
    arrays = {name: np.asarray(a) for name, a in trees.named(bundle.params)}
    with atomic.replacing_folder(path) as work:
        sha256 = tensors.write(work / "params.safetensors", arrays, dtype)
        config = {**bundle.config, "params_sha256": sha256}
        (work / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        if head is not None:
            flame.save(work / _HEAD, head, surface)


def check_target(path: str | Path) -> None:
    """Raise a ValueError if `path` holds anything but a bundle, before any work is done for it."""
    path = Path(path)
    if path.exists() and (path.is_file() or set(path.iterdir()) - set(files(path))):
        raise ValueError(f"{path} is no bundle and is not replaced; name another folder")


def load(path: str | Path, head: FlameModel | None = None) -> Bundle:
    """Read a bundle; with `head`, refuse one that was trained on another head.

    Raises:
      ValueError: one line, for a folder that is missing or damaged, or another head.
    """
    path = Path(path)
    config = _read_config(path)
    file = path / "params.safetensors"
    if _sha256(file) != config.get("params_sha256"):
        raise ValueError(f"bundle {path}: params.safetensors is damaged (its hash is not config's)")
    try:
        arrays = safetensors.numpy.load_file(file)
    except safetensors.SafetensorError as error:
        raise ValueError(f"bundle {path}: params.safetensors cannot be read: {error}") from None
    bundle = Bundle(config, _unflatten(arrays))
    if head is not None:
        check_head(bundle, head, path)
    return bundle


def check_head(bundle: Bundle, head: FlameModel, path: str | Path = "") -> None:
    """Raise a ValueError unless the bundle was trained on `head`."""
    trained = bundle.config["head"]
    if trained["sha256"] != head.sha256:
        raise ValueError(
            f"bundle {path}: trained on head {flame.title(trained)}, not on "
            f"{flame.title(head.identity)}; use that head, or a bundle trained on this one"
        )


def check_projection(bundle: Bundle, projection: str) -> None:
    """Raise a ValueError if the bundle was trained on features of another projection: the numbers
    of a feature would mean something else."""
    trained = bundle.config.get("projection", "")
    if trained and trained != projection:
        raise ValueError(
            f"bundle: trained on features of another projection ({trained[:12]}) than these "
            f"({projection[:12]}); train it again, or take back that projection.npz"
        )


def files(path: str | Path) -> list[Path]:
    """The files of a bundle; the head's only if it is there, and beside a config."""
    config, params = Path(path) / "config.json", Path(path) / "params.safetensors"
    head = head_path(path) if config.is_file() else None
    return [config, params, *filter(None, [head])]


def head_path(path: str | Path) -> Path | None:
    """The head that a bundle brings (for `flame.load` and `flame.surface`), or None."""
    head = Path(path) / _HEAD
    return head if head.is_file() else None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(_read_bytes(path / "config.json"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"bundle {path}: config.json is damaged: {error}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise ValueError(f"bundle {path}: config.json is not of a bundle of format {FORMAT}")
    missing = [k for k in ("head", "tasks") if k not in config]
    missing += [t for t in TASKS if t not in config.get("tasks", {})]
    if missing:
        raise ValueError(f"bundle {path}: config.json lacks {', '.join(missing)}")
    return config


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"bundle {path.parent}: {path.name}: {error.strerror}") from None


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"bundle {path.parent}: {path.name}: {error.strerror}") from None


def _unflatten(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in arrays.items():
        *parents, leaf = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value.astype(np.float32, copy=False)
    # A part without parameters (the encoder of cached features) leaves no array behind.
    for task in tree.values():
        task.setdefault("encoder", {})
    return tree

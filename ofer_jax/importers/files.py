"""The files of published weights, read by what they hold and never by what they are called.

    file                                       entries that are used
    OFER's model_idgen*.tar                    net, arcface, var_sched
    OFER's model_idrank*.tar                   net, arcface, farl
    OFER's model_expgen*.tar                   net, arcface, farl, var_sched
    MICA's mica.tar                            arcface, flameModel
    insightface's backbone.pth, glintr100.onnx, FaRL's .pth     the whole file is one state dict

A state dict maps PyTorch's names to arrays; `convert` makes our variables of it. No file can make
anything run, and PyTorch is not needed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax import convert, onnxfile, published, torchfile
from ofer_jax.diffusion import schedule

State = Mapping[str, Any]

TITLES = {
    "idgen": "OFER's IdGen (model_idgen*.tar)",
    "idrank": "OFER's IdRank (model_idrank*.tar)",
    "expgen": "OFER's ExpGen (model_expgen*.tar)",
    "mica": "MICA (mica.tar)",
    "arcface": "an ArcFace",
    "farl": "a FaRL",
}
_ENTRIES = {
    "idgen": ("net", "arcface", "var_sched"),
    "idrank": ("net", "arcface", "farl"),
    "expgen": ("net", "arcface", "farl", "var_sched"),
    "mica": ("arcface", "flameModel"),
    "arcface": ("arcface",),
    "farl": ("farl",),
}
_READ = {"farl": "visual.", "flameModel": "regressor.", "var_sched": tuple(schedule.PUBLISHED)}


@dataclass(frozen=True)
class Published:
    """A file of published weights: its kind (a key of TITLES), the state dicts of the entries that
    are used, and the names of everything in it that is not."""

    path: Path
    kind: str
    states: dict[str, dict[str, Any]]
    ignored: tuple[str, ...]


def read(path: str | Path) -> Published:
    """Finds out what a file is, and reads it. Arrays may be parts of the file in memory.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: one line, for a file that is none of these, or lacks an entry.
    """
    path = Path(path)
    with named(path):
        stored = _entries(_stored(path))
        kind = _kind(stored)
        lacking = [name for name in _ENTRIES[kind] if name not in stored]
        if lacking:
            raise ValueError(f"this is {TITLES[kind]}, but it lacks {', '.join(lacking)}")
        states = {name: _state(stored[name], name) for name in _ENTRIES[kind]}
        if "var_sched" in states:
            _check_schedule(states["var_sched"])
        return Published(path, kind, states, _ignored(stored, states))


def arcface(path: str | Path) -> convert.Tree:
    """Variables of `models.ArcFace`, from any file that holds one (float32).

        variables = importers.arcface("backbone.pth")  # or glintr100.onnx, mica.tar, model_*.tar
        embedding = ArcFace().apply(variables, images)  # [B, 112, 112, 3] in -1 .. 1 -> [B, 512]

    Raises ValueError, one line, if it holds none.
    """
    return _one(path, "arcface", convert.arcface)


def farl(path: str | Path) -> convert.Tree:
    """Variables of `models.FaRL`, from any file that holds one (float32).

        variables = importers.farl("FaRL-Base-Patch16-LAIONFace20M-ep64.pth")
        embedding = FaRL().apply(variables, images)  # farl_input of [B, 224, 224, 3] -> [B, 512]

    Raises ValueError, one line, if it holds none.
    """
    return _one(path, "farl", convert.farl)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Puts the file's name in front of a ValueError from within."""
    try:
        yield
    except ValueError as error:
        line = " ".join(str(error).split())
        raise ValueError(line if str(path) in line else f"{path}: {line}") from error


def _one(path: str | Path, name: str, make: Any) -> convert.Tree:
    found = read(path)
    with named(found.path):
        if name not in found.states:
            raise ValueError(
                f"this is {TITLES[found.kind]}, which holds no {TITLES[name].split()[-1]}"
            )
        return make(found.states[name])


def _stored(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(1)
    if start == b"\x08":  # a protobuf whose first field is a number, as ONNX has it
        return onnxfile.arcface(path)
    return torchfile.read(path)


def _entries(stored: Any) -> dict[str, Any]:
    """The file's entries; a file that is a single state dict has one."""
    if not isinstance(stored, Mapping):
        raise ValueError(f"it holds a {type(stored).__name__}, not named weights")
    if "net" in stored or "flameModel" in stored:
        return dict(stored)
    flat = stored.get("state_dict", stored)
    rest = {} if flat is stored else {k: v for k, v in stored.items() if k != "state_dict"}
    names = {str(key).removeprefix("module.") for key in flat} if isinstance(flat, Mapping) else {}
    if "visual.class_embedding" in names:
        return {**rest, "farl": flat}
    if "layer1.0.conv1.weight" in names:
        return {**rest, "arcface": flat}
    found = ", ".join(sorted(str(key)[:40] for key in stored)[:8])
    raise ValueError(f"it is none of {', '.join(TITLES.values())}; it holds {found or 'nothing'}")


def _kind(stored: Mapping[str, Any]) -> str:
    if "net" not in stored:
        return next(kind for kind in ("mica", "farl", "arcface") if _ENTRIES[kind][-1] in stored)
    net = _state(stored["net"], "net")
    if any(key.startswith("ranklayers.") for key in net):
        return "idrank"
    if "init_conv.weight" not in net:
        raise ValueError("its entry net is neither a ranker nor a denoiser of OFER")
    shape = np.shape(net["init_conv.weight"])
    tasks = published.tasks()
    for kind in ("idgen", "expgen"):
        if shape[:1] == (tasks[kind]["net"]["widths"][0],):
            return kind
    raise ValueError(
        f"its denoiser's init_conv.weight has shape {shape}; IdGen draws 300 values, ExpGen 53"
    )


def _state(stored: Any, name: str) -> dict[str, Any]:
    """A state dict under its own names: DataParallel puts `module.` in front of each."""
    if not isinstance(stored, Mapping) or not all(isinstance(key, str) for key in stored):
        raise ValueError(f"its entry {name} is no state dict")
    state = {key.removeprefix("module."): value for key, value in stored.items()}
    read = (key for key in state if key.startswith(_READ.get(name, "")))
    for key in read:
        if not isinstance(state[key], np.ndarray | np.generic):
            raise ValueError(f"its entry {name} holds {key[:60]!r}, which is no array")
    return state


def _check_schedule(state: State) -> None:
    settings = published.tasks("official_demo")["idgen"]["schedule"]
    tables = settings["tables"]
    ours = schedule.linear(
        settings["steps"], settings["beta_start"], settings["beta_end"], tables=tables
    )
    if "betas" not in state:
        raise ValueError("its var_sched lacks betas")
    for name, own in schedule.PUBLISHED.items():
        expected = np.asarray(getattr(ours, own))
        found = np.asarray(state.get(name, expected))
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=3e-4, atol=1e-9):
            raise ValueError(f"its schedule is not the published one: {name} differs")


def _ignored(stored: Mapping[str, Any], states: Mapping[str, State]) -> tuple[str, ...]:
    """Entries that nothing reads, and groups of names within those that are read."""
    names = {str(name) for name in stored if name not in states}
    for entry, state in states.items():
        for key in state:
            if key.endswith("num_batches_tracked"):
                names.add(f"{entry}.*.num_batches_tracked")
            elif not key.startswith(_READ.get(entry, "")):
                names.add(f"{entry}.{key.split('.')[0]}")
    return tuple(sorted(names))

"""Finds a user's files: a model, and beside it FLAME's landmarks and masks and OFER's front face.

generic_model.pkl         the model (or flame2023.pkl, ..., or our .npz, which holds everything)
landmark_embedding.npy    68 landmarks on its surface
FLAME_masks.pkl           named regions of its vertices
*front*, *1785*, *valid*  (.npy or .txt) the numbers of the front-face vertices that OFER ranks
"""

from __future__ import annotations

import os
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

PathLike = str | os.PathLike[str]

NO_HEADER = (SyntaxError, TypeError, tokenize.TokenError)  # what NumPy makes of a damaged `.npy`'s
LANDMARKS, MASKS = "landmark_embedding.npy", "FLAME_masks.pkl"
_FRONT = re.compile(r"front|1785|valid", re.IGNORECASE)
_NO_MODEL = re.compile(r"mask|landmark|embedding|texture|albedo", re.IGNORECASE)


@dataclass(frozen=True)
class Files:
    """A model's files; None is not there."""

    model: Path
    landmarks: Path | None = None
    masks: Path | None = None
    front: Path | None = None

    @property
    def pickled(self) -> bool:
        """Whether the model is FLAME's own file, not our `.npz`."""
        return is_pickle(self.model)


def is_pickle(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() == ".pkl"


def find(
    path: PathLike,
    landmarks: PathLike | None = None,
    masks: PathLike | None = None,
    front: PathLike | None = None,
) -> Files:
    """The files that belong to `path`: a model, or a folder with one. What is given goes first.

    Beside our own `.npz` nothing is looked for. Raises FileNotFoundError if there is no such path,
    and a ValueError of one line for a folder without a model, or a choice that is the user's.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no head model at {path}")
    model = _only_model(path) if path.is_dir() else path
    beside = _files(model.parent) if is_pickle(model) else []

    def named(given: PathLike | None, name: str) -> Path | None:
        same = [p for p in beside if p.name.lower() == name.lower()]
        return Path(given) if given is not None else next(iter(same), None)

    return Files(
        model,
        named(landmarks, LANDMARKS),
        named(masks, MASKS),
        Path(front) if front is not None else _front(beside),
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _only_model(folder: Path) -> Path:
    models = [
        path
        for path in _files(folder)
        if path.suffix.lower() in (".pkl", ".npz") and not _NO_MODEL.search(path.name)
    ]
    if not models:
        raise ValueError(f"{folder} holds no head model (.pkl or .npz)")
    if len(models) > 1:
        raise ValueError(f"{folder} holds {_names(models)}; give the path of one of them")
    return models[0]


def _front(beside: list[Path]) -> Path | None:
    found = [p for p in beside if p.suffix.lower() in (".npy", ".txt") and _FRONT.search(p.name)]
    if len(found) > 1:
        raise ValueError(
            f"{_names(found)} could each be the front-face vertices; name the one (--front)"
        )
    return next(iter(found), None)


def _names(paths: list[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:8])
    return f"{shown} and {len(paths) - 8} more" if len(paths) > 8 else shown

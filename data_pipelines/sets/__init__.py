"""Readers of the face data sets that a licence holder has on disk: MICA's, OFER's, one's own."""

import pathlib
from collections.abc import Collection, Mapping
from os import PathLike

import numpy as np

from data_pipelines.sets.entry import (
    REASONS,
    Entry,
    Fault,
    Listing,
    Mesh,
    Rejection,
    Truth,
)

__all__ = ["REASONS", "Entry", "Fault", "Listing", "Mesh", "Rejection", "Truth"]

Path = str | PathLike[str]


def read(
    name: str,
    root: Path,
    *,
    layout: str = "auto",
    crops: bool = False,
    lists: Mapping[str, Path] | None = None,
    pictures: Path | None = None,
    fits: Path | None = None,
) -> Listing:
    """What the folder `root` of the set `name` holds.

    Args:
        name: a key of `SETS`; 'plain' is a CSV of one's own (`root` is it, or its folder).
        root: the folder with NAME/ and image_paths/, or NAME/ itself.
        layout: 'mica', 'ofer', 'plain', or 'auto' to tell by what is there.
        crops: take the prepared crops in place of the raw pictures.
        lists: split -> file of its subjects: text, one a line, or a `.npy` in either layout.
        pictures: the folder of raw pictures, where it is not inside the set's own.
        fits: the folder of coefficients that `launch.fit_meshes` made, for sets of meshes.

    Raises:
        ValueError: one line, if the folder is not that of the set (it says what was looked for),
            or a list cannot be read at all.
    """
    raise ValueError("not there yet")


def split(
    listing: Listing,
    validation: float = 0.1,
    test: float = 0.1,
    lists: Mapping[str, Collection[str]] | None = None,
) -> dict[str, list[Entry]]:
    """The entries of 'train', 'validation' and 'test', by subject; given lists win, then
    `listing.splits`, then a hash of the subject's name."""
    raise ValueError("not there yet")


def truth(entry: Entry) -> dict[str, np.ndarray | bool]:
    """The coefficients: shape [300], expression [100], jaw, neck, global_rotation [3], eyes [6],
    float32, zeros where unknown, and `has_expression`. Raises a `Fault`."""
    raise ValueError("not there yet")


def meshes(name: str, root: Path, pictures: Path | None = None) -> list[Mesh]:
    """The registered meshes of FaMoS or CoMA, sorted by (subject, sequence, frame)."""
    raise ValueError("not there yet")


def fit_path(fits: Path, mesh: Mesh) -> str:
    """Where the coefficients fitted to a mesh lie: FITS/SUBJECT/SEQUENCE/FRAME.npz, with the keys
    shape [300], exp [100], pose [15] (root, neck, jaw, left eye, right eye), trans [3]."""
    return str(pathlib.Path(fits, mesh.subject, mesh.sequence, f"{mesh.frame}.npz"))

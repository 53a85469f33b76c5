"""Readers of the face data sets that a licence holder has on disk: MICA's, OFER's, one's own.

    listing = sets.read("lyhm", "data/MICA")         # what is there, nothing opened yet
    parts = sets.split(listing, 0.1, 0.1)            # by person
    coefficients = sets.truth(parts["train"][0])

Whatever a folder holds, `read` lists it: what cannot be used is rejected with a reason.
"""

import pathlib
from collections.abc import Mapping
from os import PathLike

from data_pipelines.sets import by_folder, by_list, frames, places, plain
from data_pipelines.sets import lists as people
from data_pipelines.sets.collector import Collector
from data_pipelines.sets.entry import REASONS, Entry, Fault, Listing, Mesh, Rejection, Truth
from data_pipelines.sets.specs import SETS, Spec, spec
from data_pipelines.sets.splits import split
from data_pipelines.sets.truths import truth

__all__ = [
    "REASONS",
    "SETS",
    "Entry",
    "Fault",
    "Listing",
    "Mesh",
    "Rejection",
    "Spec",
    "Truth",
    "fit_path",
    "meshes",
    "read",
    "spec",
    "split",
    "truth",
]

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
        lists: split -> file of its subjects: text, one a line, or a `.npy` in either layout, whose
            pictures are then read in place of those of the set's own list. Where train has a list,
            people on none are left out; else they go where `split` puts them.
        pictures: the folder of raw pictures, where it is not inside the set's own.
        fits: the folder of coefficients that `launch.fit_meshes` made, for sets of meshes.

    Returns:
        The listing. With a list (the set's own in image_paths, or a given one) it holds the
        pictures on it; without one, all in the folders.

    Raises:
        ValueError: one line, if the folder is not that of the set (it says what was looked for),
            or a list cannot be read at all.
    """
    spec(name)
    splits, rows = people.splits(lists or {})
    out = Collector(name)
    if name == "plain" or layout == "plain":
        return _read_plain(name, root, crops, splits, pictures, fits, out)
    place = places.find(name, root, layout, pictures, fits)
    notes = []
    if not rows and place.listed is not None:
        rows = people.read(place.listed).rows
        if not rows:
            raise ValueError(f"{place.listed} has no pictures, only names")
    if rows:
        by_list.read(place, rows, crops, out)
    elif place.spec.meshes:
        frames.read(place, crops, out)
    else:
        notes = by_folder.read(place, crops, out)
    if not out.entries and (place.part or not out.rejected):
        part = f" with {place.part!r} in its path" if place.part else ""
        raise ValueError(f"{place.home} holds no picture{part} of {place.spec.title}")
    return out.listing(str(place.root), place.layout, splits, notes)


def _read_plain(name, root, crops, splits, pictures, fits, out) -> Listing:
    if name != "plain":
        raise ValueError(f"the plain layout is that of the set 'plain', not of {name!r}")
    if crops:
        raise ValueError("a CSV has no prepared crops, only pictures")
    held = plain.table(root)
    shown = places.folder(pictures, "the pictures") if pictures is not None else None
    fitted = places.folder(fits, "the fits") if fits is not None else None
    plain.read(held, shown, fitted, out)
    return out.listing(str(held.path.parent), "plain", splits)


def meshes(name: str, root: Path, pictures: Path | None = None) -> list[Mesh]:
    """The registered meshes of FaMoS, CoMA or a CSV, by (subject, sequence, frame).

    Raises:
        ValueError: the set ships none, or there are none in the folder.
    """
    if name == "plain":
        found = plain.meshes(plain.table(root))
    elif spec(name).meshes:
        found = frames.meshes(places.find(name, root, pictures=pictures))
    else:
        raise ValueError(f"{name} comes with coefficients: its meshes need no fit")
    if not found:
        raise ValueError(f"{root} has no meshes of {name}: looked for SUBJECT/SEQUENCE/FRAME.ply")
    return found


def fit_path(fits: Path, mesh: Mesh) -> pathlib.Path:
    """Where the coefficients fitted to a mesh lie: FITS/SUBJECT/SEQUENCE/FRAME.npz, with the keys
    shape [300], exp [100], pose [15] (root, neck, jaw, left eye, right eye), trans [3]."""
    return frames.fit_path(pathlib.Path(fits), mesh)

"""Where things lie in a set's folder: MICA's layout and OFER's variant, looked for in any case.

    ROOT/image_paths/NAME.npy
    ROOT/NAME/FLAME_parameters/ACTOR/*.npz      (OFER: FLAME23_parameters)
    ROOT/NAME/registrations/ACTOR/*.obj         (FaMoS, CoMA: SUBJECT/SEQUENCE/FRAME.ply)
    ROOT/NAME/arcface_input/ACTOR/IMAGE.npy and IMAGE.jpg
    ROOT/NAME/images/...                        (raw pictures; or any folder that is given)

ROOT may also be NAME itself; image_paths is then looked for beside it, too.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.sets import paths, specs
from data_pipelines.sets.specs import Spec


@dataclass(frozen=True)
class Place:
    """The folders of one set; what is not there is None."""

    name: str
    root: Path
    home: Path
    layout: str
    parameters: Path | None
    meshes: Path | None
    crops: Path | None
    pictures: Path | None
    listed: Path | None

    @property
    def spec(self) -> Spec:
        return specs.SETS[self.name]

    @property
    def part(self) -> str:
        """The word that pictures must have: only where the folder holds the other half, too."""
        whole = paths.fold(self.home.name) != paths.fold(self.spec.folders[0])
        return self.spec.part if whole else ""

    def seen(self, crops: bool) -> Path:
        """The folder of the pictures or of the crops. Raises a ValueError without one."""
        if crops and self.crops is None:
            raise ValueError(f"{self.home} has no prepared crops: there is no {specs.CROPS} in it")
        if not crops and self.pictures is None:
            also = ", or take the prepared crops" if self.crops else ""
            names = ", ".join(specs.PICTURES)
            raise ValueError(
                f"{self.home} has no folder of raw pictures ({names}): say where they are{also}"
            )
        return (self.crops if crops else self.pictures) or self.home

    def inside(self, path: str | Path) -> str:
        """A path as rejections have it: below the root, or as it is."""
        text = os.fspath(path)
        below = os.path.relpath(text, self.root) if os.path.isabs(text) else text
        return paths.clean(text if below.startswith("..") else below)[:300]


def find(
    name: str,
    root: str | os.PathLike[str],
    layout: str = "auto",
    pictures: str | os.PathLike[str] | None = None,
    fits: str | os.PathLike[str] | None = None,
) -> Place:
    """Raises a ValueError that says what was looked for where the folder is not the set's."""
    spec = specs.spec(name)
    if layout not in ("auto", *specs.PARAMETERS):
        raise ValueError(f"no layout {layout[:40]!r}; there are auto, mica, ofer and plain")
    top = folder(root, "the data set")
    above = paths.child(top, spec.folders)
    home = above or top
    wanted = [layout] if layout != "auto" else list(specs.PARAMETERS)
    known = {each: paths.child(home, [specs.PARAMETERS[each]]) for each in wanted}
    layout = next((each for each in wanted if known[each]), wanted[-1])
    meshes = paths.child(home, [specs.REGISTRATIONS])
    if meshes is None and spec.meshes:
        meshes = _bare(home)
    parameters = folder(fits, "the fits") if fits is not None else known[layout]
    if parameters is None and not (spec.meshes and meshes):
        raise ValueError(_looked_for(name, top, wanted))
    raw = paths.child(home, specs.PICTURES)
    if pictures is not None:
        given = folder(pictures, "the pictures")
        raw = paths.child(given, spec.folders) or given
    crops = paths.child(home, [specs.CROPS])
    beside = [top, top.parent] if above is None else [top]
    return Place(name, top, home, layout, parameters, meshes, crops, raw, _listed(spec, beside))


def folder(path: str | os.PathLike[str], what: str) -> Path:
    """The folder, absolute. Raises a ValueError if it is none."""
    out = Path(os.path.abspath(path))
    if not out.is_dir():
        raise ValueError(f"the folder of {what}, {path}, is not there")
    return out


def _bare(home: Path) -> Path | None:
    """CoMA as it is shipped: the subjects' folders with nothing above them."""
    other = {*specs.PARAMETERS.values(), specs.CROPS, *specs.PICTURES, specs.LISTS}
    kept = [each for each in paths.folders(home) if each not in other]
    return home if any(_has_mesh(home / each) for each in kept) else None


def _has_mesh(path: Path) -> bool:
    return next(paths.files(path, MESHES), None) is not None


MESHES: Collection[str] = (".ply", ".obj")


def _listed(spec: Spec, folders: list[Path]) -> Path | None:
    names = [paths.fold(f"{each}.npy") for each in spec.folders]
    for top in folders:
        where = paths.child(top, [specs.LISTS])
        there = list(paths.files(where, [".npy"])) if where else []
        for name in names:
            for each in there:
                if where and paths.fold(each) == name:
                    return where / each
    return None


def _looked_for(name: str, top: Path, layouts: list[str]) -> str:
    spec = specs.SETS[name]
    folders = " or ".join(specs.PARAMETERS[each] for each in layouts)
    also = f", nor meshes in {specs.REGISTRATIONS}" if spec.meshes else ""
    names = " or ".join(spec.folders)
    return f"{top} is not {spec.title}: neither it nor {names} in it has a folder {folders}{also}"

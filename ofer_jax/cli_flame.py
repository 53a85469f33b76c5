"""`ofer flame`: what a user's FLAME files are, and one `.npz` of them all.

    ofer flame check PATH [--landmarks NPY] [--masks PKL] [--front FILE] [--release NAME]
    ofer flame convert PATH OUT.npz [the same]

Exit status: 0 if the model can be used, 2 (and one line) if it is none.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ofer_jax.flame import FlameModel
    from ofer_jax.flame.files import Files

_REGISTER = "register at https://flame.is.tue.mpg.de and download it there"
_OPTIONS = {
    "landmarks": ("NPY", "landmark_embedding.npy (default: the one beside the model)"),
    "masks": ("PKL", "FLAME_masks.pkl (default: the one beside the model)"),
    "front": ("FILE", "OFER's front-face vertex numbers, .npy or .txt (default: *front*, *1785*)"),
    "release": ("NAME", "2020, 2023, '2023 no jaw', '2023 Open' (default: by the file's name)"),
}
_MISSING = {
    "landmarks": f"missing: landmark_embedding.npy; {_REGISTER}",
    "face region": f"missing: FLAME_masks.pkl; {_REGISTER}",
    "front face": "missing: the file of its 1785 vertex numbers; it comes with OFER's release",
}
_SIZES = "{} vertices, {} triangles, {} shape and {} expression coefficients"
_FLAME = (5023, 9976, 300, 100)
_ALL = "This is all that `ofer reconstruct` and training need of a head."
_MORE = "The FLAME layer works with this; `ofer reconstruct` and training need what is missing."


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `flame` to the console command."""
    about = "your FLAME files: what they are, and one .npz of them"
    flame = commands.add_parser("flame", help=about, description=about[0].upper() + about[1:] + ".")
    actions = flame.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say what a model is and what is missing")
    convert = actions.add_parser("convert", help="write everything found as one .npz")
    for parser in (check, convert):
        parser.add_argument("path", type=Path, metavar="PATH", help="model, or folder with one")
        if parser is convert:
            parser.add_argument("out", type=Path, metavar="OUT.npz", help="file to write")
        for name, (kind, text) in _OPTIONS.items():
            parser.add_argument(f"--{name}", metavar=kind, help=text)
        parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, command: str) -> int:
    from ofer_jax import flame
    from ofer_jax.flame import files, regions

    found = files.find(args.path, args.landmarks, args.masks, args.front)
    model = flame.load(found.model, found.landmarks, args.release)
    surface = regions.of_files(found, model)
    if args.action == "convert":
        flame.save(args.out, model, surface)
        print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, holds")
    print("\n".join(_report(found, model, surface, said=args.release is not None)))
    return 0


def _report(
    found: "Files", model: "FlameModel", surface: "dict[str, np.ndarray]", said: bool
) -> list[str]:
    how = "as you say" if said else "by its name" if found.pickled else "recorded"
    known = f"{model.release} ({how})" if model.release else "not told by its name; say --release"
    sizes = (model.num_vertices, len(model.faces), model.num_shape, model.num_expression)
    joints = f", {len(model.parents)} joints"
    lines = [
        f"model        {found.model.name}",
        f"release      {known}",
        f"components   {_SIZES.format(*sizes)}{joints}",
        f"SHA-256      {model.sha256}",
    ]
    if sizes != _FLAME:
        lines.append(f"note         FLAME's own has {_SIZES.format(*_FLAME)}")
    counts = {
        "landmarks": (len(model.full_lmk_faces_idx), "points", found.landmarks),
        "face region": (len(surface.get("region_face", ())), "vertices", found.masks),
        "front face": (len(surface.get("region_front", ())), "vertices", found.front),
    }
    for part, (count, unit, path) in counts.items():
        here = f"{count} {unit}" + (f" ({path.name})" if path else "")
        lines.append(f"{part:13}{here if count else _MISSING[part]}")
    return [*lines, _ALL if all(count for count, _, _ in counts.values()) else _MORE]

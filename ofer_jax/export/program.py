"""Makes the exported chain and writes its folder.

The program takes two dicts of arrays: what it reads beside the faces, by name and each content
once (networks that share frozen layers are then computed once), and the faces. No array of either
is a constant of the program, so its file is small and the same for all weights of one size.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ofer_jax
from ofer_jax import atomic, chain, faces, once, openhead, reconstruct, trees
from ofer_jax.export import features, manifest
from ofer_jax.reconstruct import Found, Reconstructor

PLATFORMS = ("cpu", "cuda", "tpu")
_HERE = Path(__file__).parent
_CROPS = {
    "chip_150": faces.chip_150,
    "crop_112": faces.crop_112,
    "crop_224": faces.crop_224,
}
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Program:
    """An exported chain, the arrays it is called with, and what is told of it."""

    exported: jax.export.Exported
    arrays: Arrays
    manifest: dict[str, Any]


def build(
    reconstructor: Reconstructor,
    shapes: int = 100,
    expressions: int = 15,
    platforms: Sequence[str] = PLATFORMS,
) -> Program:
    """The chain for K shapes and M expressions, for any number of faces.

    Raises:
        ValueError: one line, for counts or platforms that make no sense, or a bundle whose
            parameters do not fit its config.
    """
    if shapes < 2 or expressions < 1:
        raise ValueError(f"{shapes} shapes, {expressions} expressions; at least 2 and 1 are needed")
    if not platforms or set(platforms) - set(PLATFORMS):
        raise ValueError(f"platforms {', '.join(platforms)}: choose from {', '.join(PLATFORMS)}")
    tree = dict(reconstructor.arrays)
    tree["head"] = dataclasses.replace(tree["head"])  # without the bases once more: 26 MB less
    if reconstructor.sees == "open":
        tree["features"] = features.weights()
    held = once.Once.of(tree)
    names = _names(held)
    arrays = {name: np.asarray(leaf) for name, leaf in zip(names, held.leaves, strict=True)}
    configs = reconstructor.bundle.config["tasks"]

    def program(arrays: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        known = dataclasses.replace(held, leaves=tuple(arrays[name] for name in names)).tree
        return chain.run(configs, shapes, expressions, known, _as_chain(known, given))

    given = {name: jax.ShapeDtypeStruct(*kind) for name, kind in _kinds(reconstructor.sees).items()}
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), arrays)
    try:
        with _no_folders():
            exported = jax.export.export(jax.jit(program), platforms=platforms)(abstract, given)
    except Exception as error:  # any kind: flax, shape and key errors of a wrong bundle
        line = " ".join(str(error).split())[:160]
        raise ValueError(
            f"the chain cannot be exported ({type(error).__name__}: {line})"
        ) from error
    outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    told = {
        "format": 1,
        "made_by": f"ofer-jax {ofer_jax.__version__}",
        "jax": jax.__version__,
        "calling_convention": exported.calling_convention_version,
        "compatibility": manifest.COMPATIBILITY,
        "platforms": list(platforms),
        "head": reconstructor.head.identity,
        "bundle": reconstructor.bundle.config.get("params_sha256", ""),
        "kernels": reconstructor.dtype,
        "mode": reconstructor.bundle.config.get("mode", ""),
        "shapes": shapes,
        "expressions": expressions,
        "inputs": manifest.kinds(given, manifest.INPUTS),
        "outputs": manifest.kinds(outputs, manifest.OUTPUTS),
        "licence": _licence(reconstructor),
    }
    return Program(exported, arrays, told)


def inputs(reconstructor: Reconstructor, found: Sequence[Found], seed: int = 0) -> Arrays:
    """What the program takes for faces that `Reconstructor.find` found: with the random keys that
    `ofer reconstruct` would give them."""
    made = {
        name: np.stack([cut(f.photo.image, f.face) for f in found])
        for name, cut in _CROPS.items()
        if name in _kinds(reconstructor.sees)
    }
    keys = [jax.random.key_data(reconstruct.key_of(f, seed)) for f in found]
    return made | {
        "key": np.stack(keys).astype(np.uint32),
        "points": np.stack([f.face.points for f in found]).astype(np.float32),
        "keypoints": np.stack([f.face.keypoints for f in found]).astype(np.float32),
        "presence": np.array([f.face.presence for f in found], np.float32),
    }


def save(program: Program, folder: str | Path, example: Arrays | None = None) -> dict[str, Any]:
    """Writes the folder, in place of an older export; `example` (inputs) goes in as example.npz.

    Returns:
        The manifest, with each file's size and SHA-256.

    Raises:
        ValueError: the folder holds anything but an export.
    """
    folder = Path(folder).resolve()
    check_target(folder)
    with atomic.replacing_folder(folder) as work:
        (work / "chain.jax").write_bytes(program.exported.serialize())
        np.savez(work / "arrays.npz", allow_pickle=False, **program.arrays)
        shutil.copyfile(_HERE / "load.py", work / "load.py")
        if example is not None:
            np.savez(work / "example.npz", allow_pickle=False, **example)
        shutil.copyfile(Path(openhead.__file__).with_name("NOTICE"), work / "NOTICE")
        files = {name: _file(work / name) for name in ("chain.jax", "arrays.npz")}
        told = program.manifest | {"files": files}
        (work / "manifest.json").write_text(json.dumps(told, indent=1) + "\n")
        (work / "README.md").write_text(manifest.readme(told))
    return told


def check_target(folder: str | Path) -> None:
    """Raises a ValueError if `folder` holds anything but an export, before any work is done."""
    folder = Path(folder)
    if folder.is_file() or (
        folder.is_dir() and {p.name for p in folder.iterdir()} - {*manifest.FILES}
    ):
        raise ValueError(f"{folder} holds other things than an export and is not replaced")


@contextlib.contextmanager
def _no_folders() -> Iterator[None]:
    """Lines of source that a program tells of carry the names of files alone, so that it is the
    same wherever it is made."""
    option = "jax_hlo_source_file_canonicalization_regex"
    before = jax.config.values[option]
    jax.config.update(option, r".*[/\\]")
    try:
        yield
    finally:
        jax.config.update(option, before)


def _kinds(sees: str) -> dict[str, tuple[tuple[Any, ...], Any]]:
    """Shape and type of each input, B open."""
    (batch,) = jax.export.symbolic_shape("B")
    crops = ("crop_112", "crop_224") if sees == "crops" else ("chip_150",)
    pictures = {name: ((batch, *(int(name[-3:]),) * 2, 3), jnp.uint8) for name in crops}
    return pictures | {
        "key": ((batch, 2), jnp.uint32),
        "points": ((batch, 468, 3), jnp.float32),
        "keypoints": ((batch, 6, 2), jnp.float32),
        "presence": ((batch,), jnp.float32),
    }


def _as_chain(known: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The inputs of `chain.run`."""
    seen: Any = {name: given[name] for name in given if name.startswith("crop_")}
    if "features" in known:
        read = ("chip_150", "points", "presence")
        seen = features.of_crops(known["features"], *(given[name] for name in read))
    return {
        "features": seen,
        "key": jax.random.wrap_key_data(given["key"], impl="threefry2x32"),
        "points": given["points"][..., :2],
        "keypoints": given["keypoints"],
        "use_mesh": given["presence"] >= reconstruct.PRESENCE,
    }


def _names(held: once.Once) -> list[str]:
    """A name for each array: that of the first place where it stands."""
    names = [name for name, _ in trees.named(held.tree)]
    return [names[held.places.index(number)] for number in range(len(held.leaves))]


def _licence(reconstructor: Reconstructor) -> str:
    """The embedded head and bundle are free; what a user brings has licences of its own."""
    config = json.loads((openhead.bundle_path() / "config.json").read_text())
    embedded = (openhead.head_sha256(), config["params_sha256"])
    own = (reconstructor.head.sha256, reconstructor.bundle.config.get("params_sha256"))
    return manifest.OPEN_LICENCE if own == embedded else manifest.OTHER_LICENCE


def _file(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}

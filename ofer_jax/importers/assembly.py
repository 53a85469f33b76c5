"""The published checkpoints as one inference bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ofer_jax import bundle, convert, published, trees
from ofer_jax.flame import FlameModel
from ofer_jax.importers import files
from ofer_jax.importers.files import Published
from ofer_jax.tasks import expgen, idgen, idrank

_TASKS = {"idgen": idgen, "idrank": idrank, "expgen": expgen}


def bundle_of(
    paths: Sequence[str | Path],
    head: FlameModel,
    surface: Mapping[str, np.ndarray],
    mode: str = "paper",
    seed: int = 0,
) -> tuple[bundle.Bundle, list[str]]:
    """One bundle of OFER's three checkpoints, and the warnings that its user must see.

    Args:
      paths: the files of IdGen, IdRank and ExpGen in any order, and if wanted MICA's, whose
        regressor becomes the deterministic baseline.
      head: the FLAME that they were trained on.
      surface: with its `region_front`, the vertices that the ranker sees, in the published order.
      mode: one of `published.MODES`.
      seed: of the attention projections that a checkpoint does not hold.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: one line: a file is missing, given twice or damaged, or the head is another.
    """
    tasks = published.tasks(mode)
    found = _one_of_each(paths)
    _check_head(head, surface)
    tasks["expgen"]["total_expression"] = head.num_expression
    params: dict[str, Any] = {}
    warnings = _doubts(head)
    sources: dict[str, Any] = {}
    for kind in [kind for kind in (*bundle.TASKS, "mica") if kind in found]:
        one = found.pop(kind)  # the last reference: what it maps of the file is let go
        source = {"file": one.path.name, "sha256": _sha256(one.path), "ignored": list(one.ignored)}
        sources[kind] = source
        with files.named(one.path):
            if kind == "mica":
                tasks["idgen"]["regressor"] = published.mica()
                params["idgen"]["regressor"] = _mica(one)
                continue
            params[kind] = _params(tasks[kind], one, seed)
        if kind != "idrank":
            source["drawn"], said = _projections(one, tasks[kind]["net"]["tokens"], seed)
            warnings += said
    for kind in bundle.TASKS:
        _check_shapes(kind, tasks[kind], params[kind])
    about = {"published": {"mode": mode, "seed": seed, "files": sources}}
    return bundle.make(tasks, params, head, about, mode=mode), warnings


def _one_of_each(paths: Sequence[str | Path]) -> dict[str, Published]:
    found: dict[str, Published] = {}
    for path in paths:
        one = files.read(path)
        if one.kind not in (*bundle.TASKS, "mica"):
            raise ValueError(
                f"{path}: this is {files.TITLES[one.kind]}; a bundle has no use for it"
            )
        if one.kind in found:
            both = f"{found[one.kind].path} and {path}"
            raise ValueError(f"{both} are both {files.TITLES[one.kind]}; give one of them")
        found[one.kind] = one
    missing = [files.TITLES[task] for task in bundle.TASKS if task not in found]
    if missing:
        raise ValueError(f"a bundle needs three checkpoints; missing: {', '.join(missing)}")
    return found


def _check_head(head: FlameModel, surface: Mapping[str, np.ndarray]) -> None:
    sizes = head.num_shape, head.num_expression
    if sizes[0] != published.SHAPES or sizes[1] < published.EXPRESSIONS:
        raise ValueError(
            f"head {head.name!r} has {sizes[0]} shape and {sizes[1]} expression components; the "
            "published networks need FLAME's 300 and at least 50: give FLAME's own file"
        )
    count = len(surface.get("region_front", ()))
    if count != published.FRONT:
        raise ValueError(
            f"the ranker sees {published.FRONT} front-face vertices (its first layer takes 2 x "
            f"{3 * published.FRONT} values), and the head comes with {count or 'no'} numbers of "
            "them: give OFER's list of the front face (--front, a .npy or .txt)"
        )


def _doubts(head: FlameModel) -> list[str]:
    """No checkpoint says which FLAME it was trained on, and coefficients of one mean another face
    on another."""
    if head.release.startswith("FLAME 2023"):
        return []
    found = head.release or f"{head.name!r}, whose release is not known"
    return [f"the published networks were trained on FLAME 2023; this is {found}"]


def _params(config: published.Config, one: Published, seed: int) -> dict[str, Any]:
    net = config["net"]
    encoder = _encoder(config["encoder"], one)
    if one.kind == "idrank":
        made = convert.ranker(one.states["net"], {"hidden": net["hidden"]})
        return {"encoder": encoder, "net": made["params"]}
    sizes = {"dims": net["widths"], "numqkv": net["tokens"]}
    made = convert.denoiser(one.states["net"], sizes, draw_missing=seed)
    basis = {"basis": np.eye(published.SHAPES, dtype=np.float32)} if one.kind == "idgen" else {}
    return {"encoder": encoder, "net": made["params"], **basis}


def _mica(one: Published) -> dict[str, Any]:
    config = published.mica()
    made = convert.mica_regressor(one.states["flameModel"], {"layers": config["net"]["depth"]})
    return {"encoder": _encoder(config["encoder"], one), "net": made["params"]}


def _encoder(config: published.Config, one: Published) -> dict[str, Any]:
    made = {"arcface": convert.arcface(one.states["arcface"], {"layers": config["blocks"]})}
    if "farl" in config:
        made["farl"] = convert.farl(one.states["farl"], {"layers": config["farl"]["depth"]})
    return made


def _check_shapes(kind: str, config: published.Config, params: dict[str, Any]) -> None:
    """Names the first array that has not the shape that the config asks for."""
    front = np.zeros((published.FRONT, 3), np.float32)
    constants = {"basis": np.eye(published.SHAPES, dtype=np.float32), "template": front}
    expected = jax.eval_shape(partial(_TASKS[kind].init, config), jax.random.key(0), constants)
    wanted = dict(trees.named(expected))
    for name, value in trees.named(params):
        if value.shape != wanted[name].shape:
            shapes = f"shape {value.shape}; the published network's is {wanted[name].shape}"
            raise ValueError(f"{files.TITLES[kind]}: its {name} has {shapes}")


def _projections(one: Published, tokens: int, seed: int) -> tuple[list[str], list[str]]:
    """The attention projections that a denoiser's file lacks, those of an attention in braces, and
    what its user must know."""
    net, out = one.states["net"], ".to_out.weight"
    lacking, drawn, late = [], 0, 0
    for name in (key.removesuffix(out) for key in net if key.endswith(f".fn.fn{out}")):
        held = [f"{name}.to_qkv.{i}.weight" in net for i in range(tokens)]
        late += f"{name}.qkv.weight" in net
        held[-1] |= f"{name}.qkv.weight" in net
        numbers = [i for i in range(tokens) if not held[i]]
        lacking += [f"{name}.to_qkv.{{{_ranges(numbers)}}}.weight"] if numbers else []
        drawn += len(numbers)
    said = []
    if lacking:
        said.append(
            f"{one.path.name}: {drawn} attention projections are not in the file: "
            f"{', '.join(lacking)}. The published program never trained them and draws them anew "
            f"at every start, so two runs of it differ; here they are drawn from seed {seed} and "
            "kept in the bundle"
        )
    if late:
        said.append(
            f"{one.path.name}: projection {tokens} of {late} attentions is in the file "
            "(qkv.weight) and is used"
        )
    return lacking, said


def _ranges(numbers: Sequence[int]) -> str:
    """[0, 1, 2, 5] as '0..2,5'."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    pairs = zip(starts, ends, strict=True)
    return ",".join(str(a) if a == b else f"{a}..{b}" for a, b in pairs)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

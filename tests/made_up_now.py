"""Made-up scans, predictions and whole folders in the layouts of NoW and Stirling: open heads."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from ofer_jax import flame, openhead
from ofer_jax.now import protocol
from ofer_jax.now.protocol import Face


@functools.cache
def head() -> flame.FlameModel:
    """The open head."""
    return flame.load(openhead.head_path())


def of_shape(model: flame.FlameModel, shape: np.ndarray) -> Face:
    """A neutral head with its 7 landmarks, metres."""
    basis = np.asarray(model.shapedirs, np.float64)[..., : len(shape)]
    return with_landmarks(model, np.asarray(model.v_template, np.float64) + basis @ shape)


def with_landmarks(model: flame.FlameModel, vertices: np.ndarray) -> Face:
    """Vertices in the head's topology with their 7 landmarks, metres."""
    numbers = list(protocol.OF_51)
    corners = vertices[np.asarray(model.faces)[np.asarray(model.lmk_faces_idx)[numbers]]]
    bary = np.asarray(model.lmk_bary_coords, np.float64)[numbers]
    return Face(vertices, np.asarray(model.faces), np.einsum("lk,lkc->lc", bary, corners))


def random_face(rng: np.random.Generator) -> Face:
    """A neutral head of a random person, metres."""
    return of_shape(head(), rng.standard_normal(head().num_shape))


def turn(rng: np.random.Generator) -> np.ndarray:
    """A random rotation."""
    return Rotation.random(rng=rng).as_matrix()


def scan(
    rng: np.random.Generator, face: Face | None = None, cuts: int = 0, noise: float = 0.2
) -> Face:
    """The front of a head as a scan: millimetres, anywhere in space, each triangle cut into four
    `cuts` times, noise in millimetres."""
    face = face or random_face(rng)
    vertices, triangles = 1e3 * face.vertices, face.triangles
    near = protocol.crop(vertices, 1e3 * face.landmarks, 2.0)
    triangles = triangles[near[triangles].all(axis=1)]
    for _ in range(cuts):
        vertices, triangles = cut(vertices, triangles)
    used, triangles = np.unique(triangles, return_inverse=True)
    vertices = vertices[used] + noise * rng.standard_normal((len(used), 3))
    rotation, shift = turn(rng), 500 * rng.standard_normal(3)
    landmarks = 1e3 * face.landmarks @ rotation.T + shift
    return Face(vertices @ rotation.T + shift, triangles.reshape(-1, 3), landmarks)


def cut(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each triangle as four, with the edges' middles as new vertices."""
    a, b, c = triangles.T
    edges = np.sort(np.concatenate([np.stack(e, 1) for e in ((a, b), (b, c), (c, a))]), axis=1)
    unique, number = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = number.reshape(3, -1) + len(vertices)
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return (
        np.concatenate([vertices, vertices[unique].mean(axis=1)]),
        np.concatenate([np.stack(part, axis=1) for part in parts]),
    )


def sphere(cuts: int) -> tuple[np.ndarray, np.ndarray]:
    """(unit directions, triangles) of an octahedron cut some times."""
    vertices = np.concatenate([np.eye(3), -np.eye(3)])
    triangles = np.array([(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2)])
    triangles = np.concatenate([triangles, np.array([(1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)])])
    for _ in range(cuts):
        vertices, triangles = cut(vertices, triangles)
        vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    return vertices, triangles


def distance_to_every(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The distance to the nearest of all triangles [F, 3, 3], written in another way: within the
    triangle's prism the height, else the nearest edge."""
    best = np.full(len(points), np.inf)
    for triangle in corners:
        for i in range(3):
            start, along = triangle[i - 1], triangle[i] - triangle[i - 1]
            share = (points - start) @ along / max(along @ along, 1e-300)
            place = start + np.clip(share, 0, 1)[:, None] * along
            best = np.minimum(best, np.linalg.norm(points - place, axis=1))
        normal = np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0])
        if np.linalg.norm(normal) < 1e-12:
            continue
        normal /= np.linalg.norm(normal)
        sides = [
            np.cross(triangle[i] - triangle[i - 1], points - triangle[i - 1]) @ normal
            for i in range(3)
        ]
        inside = np.all(np.array(sides) >= 0, axis=0)
        height = np.abs((points - triangle[0]) @ normal)
        best = np.where(inside, np.minimum(best, height), best)
    return best


def write_obj(path: Path, face: Face, unit: float = 1.0, coloured: bool = False) -> None:
    """A mesh as an OBJ, its numbers times `unit`; with colours after the positions if wanted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = " 0.5 0.25 0.75" if coloured else ""
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}{rest}" for x, y, z in unit * face.vertices]
    lines += [f"f {a} {b} {c}" for a, b, c in face.triangles + 1]
    path.write_text("\n".join(lines) + "\n")


def write_pp(path: Path, landmarks: np.ndarray) -> None:
    """Landmarks as MeshLab's picked points."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = "".join(
        f'<point x="{x}" y="{y}" z="{z}" name="{i}"/>' for i, (x, y, z) in enumerate(landmarks)
    )
    path.write_text(f"<!DOCTYPE PickedPoints><PickedPoints>{tags}</PickedPoints>")


def predict(folder: Path, image: str, face: Face, **how: Any) -> None:
    """One prediction: IMAGE.obj and IMAGE.npy."""
    write_obj(folder / f"{image}.obj", face, **how)
    np.save(folder / f"{image}.npy", how.get("unit", 1.0) * face.landmarks)


@dataclass(frozen=True)
class Tree:
    """A made-up data set in NoW's layout with good predictions beside it."""

    dataset: Path
    predictions: Path
    images: list[str]


def tree(root: Path, people: int = 2, pictures: int = 1, seed: int = 0) -> Tree:
    """`people` in the validation set and one in the test set; predictions are heads like theirs.

    Pictures are one colour: nobody is seen in them.
    """
    rng = np.random.default_rng(seed)
    release, predictions = root / "NoW_Dataset" / "final_release_version", root / "predictions"
    lists: dict[str, list[str]] = {"validation": [], "test": []}
    for number in range(people + 1):
        split = "validation" if number < people else "test"
        subject = f"made_up_{number:03d}_TA"
        shape = rng.standard_normal(head().num_shape)
        if split == "validation":
            scanned = scan(rng, of_shape(head(), shape))
            write_obj(release / "scans" / subject / "natural_head_rotation.000001.obj", scanned)
            marks = "natural_head_rotation.000001_picked_points.pp"
            write_pp(release / "scans_lmks_onlypp" / subject / marks, scanned.landmarks)
        for picture in range(pictures):
            for challenge in ("multiview_neutral", "selfie"):
                image = f"{subject}/{challenge}/IMG_{picture:04d}"
                lists[split].append(f"{image}.jpg")
                path = release / "iphone_pictures" / f"{image}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (64, 64), (120, 90, 70)).save(path)
                guess = 0.7 * shape + 0.5 * rng.standard_normal(shape.shape)
                predict(predictions, image, of_shape(head(), guess))
    for split, lines in lists.items():
        (release / f"imagepaths{split}.txt").write_text("\n".join(lines) + "\n")
    images = [line.removesuffix(".jpg") for line in lists["validation"]]
    return Tree(root / "NoW_Dataset", predictions, images)

"""Which vertices of the body make the open head, and its triangles: 5023 as FLAME has."""

from dataclasses import dataclass

import numpy as np

from data_pipelines.openhead.mpfb import Archive

BODY_VERTICES = 4517
HELPERS = ("l-eye", "r-eye", "lower-teeth", "upper-teeth", "tongue")


@dataclass(frozen=True)
class Topology:
    """keep [V] indices into the base mesh; faces [F, 3] and their uv corners [F, 3]; parts: vertex
    indices (into the head) of `skin` and of each helper; faces_uv [F, 3, 2]."""

    keep: np.ndarray
    faces: np.ndarray
    faces_uv: np.ndarray
    parts: dict[str, np.ndarray]
    mirror: np.ndarray

    def inside(self, vertices: np.ndarray) -> np.ndarray:
        """Mask [F] of the faces whose corners all lie in `vertices`."""
        return np.asarray(np.isin(self.faces, vertices).all(1))


def family(parents: dict[str, str], root: str) -> list[str]:
    """`root` and all bones below it."""

    def above(bone: str | None) -> list[str]:
        return [] if bone is None else [bone, *above(parents.get(bone))]

    return [bone for bone in parents if root in above(bone)]


def head_weight(archive: Archive) -> np.ndarray:
    """Rig weight [N] of head and neck together."""
    weights = archive.bone_weights()
    bones = family(archive.bone_parents(), "neck01")
    return sum((weights[b] for b in bones if b in weights), np.zeros(len(archive.base.vertices)))


def choose(archive: Archive) -> Topology:
    """The 4517 body vertices with the largest head-and-neck weight (nearest to the neck first
    among equals), then eyes, teeth and tongue."""
    base = archive.base
    skin = archive.group("body")
    far = np.linalg.norm(base.vertices - base.vertices[archive.group("joint-neck")].mean(0), axis=1)
    order = np.lexsort((far[skin], -np.round(head_weight(archive)[skin], 6)))
    blocks = {"skin": np.sort(skin[order[:BODY_VERTICES]])}
    blocks.update({name: archive.group(f"helper-{name}") for name in HELPERS})
    keep = np.concatenate(list(blocks.values()))
    ends = np.cumsum([len(b) for b in blocks.values()])
    parts = {n: np.arange(e - len(b), e) for (n, b), e in zip(blocks.items(), ends, strict=True)}
    place = np.full(len(base.vertices), -1)
    place[keep] = np.arange(len(keep))
    whole = (place[base.quads] >= 0).all(1)
    quads, corners = place[base.quads[whole]], base.uvs[base.quad_uvs[whole]]
    split = [[0, 1, 2], [0, 2, 3]]
    faces = np.concatenate([quads[:, s] for s in split])
    faces_uv = np.concatenate([corners[:, s] for s in split])
    mirrored = place[archive.mirror()[keep]]
    mirrored = np.where(mirrored < 0, np.arange(len(keep)), mirrored)
    return Topology(keep, faces, faces_uv, parts, mirrored)


def vertex_uv(topology: Topology) -> np.ndarray:
    """One texture coordinate [V, 2] a vertex (of its last corner; seams are not split)."""
    uv = np.zeros((len(topology.keep), 2))
    uv[topology.faces.ravel()] = topology.faces_uv.reshape(-1, 2)
    return uv

"""Named parts of the open head's surface: materials of triangles, regions of vertices."""

import numpy as np

from data_pipelines.openhead.landmarks import OVAL, SIZE, camera, turned
from data_pipelines.openhead.mpfb import Archive
from data_pipelines.openhead.topology import Topology
from ofer_jax.render import project, rasterize

MATERIALS = ("skin", "lips", "eye", "teeth", "tongue", "inner_mouth", "ear")
SEEN_FROM = [(yaw, pitch) for yaw in (-50, -25, 0, 25, 50) for pitch in (-25, 0, 25)]


def materials(archive: Archive, topology: Topology) -> np.ndarray:
    """Index into MATERIALS of each triangle."""
    uv = topology.faces_uv.mean(1)
    out = np.zeros(len(topology.faces), np.uint8)
    skin = topology.inside(topology.parts["skin"])
    for mask, name in (("ears", "ear"), ("lips", "lips"), ("inside-mouth", "inner_mouth")):
        out[skin & (archive.mask(mask, uv) > 0.5)] = MATERIALS.index(name)
    parts = {"l-eye": "eye", "r-eye": "eye", "lower-teeth": "teeth", "upper-teeth": "teeth"}
    for part, name in {**parts, "tongue": "tongue"}.items():
        out[topology.inside(topology.parts[part])] = MATERIALS.index(name)
    return out


def visible(mean: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Mask [V] of the vertices seen from the front and from the sides of it."""
    out = np.zeros(len(mean), bool)
    for yaw, pitch in SEEN_FROM:
        vertices = turned(mean, yaw, pitch)
        raster = rasterize(project(vertices, camera(vertices)), triangles, SIZE, SIZE, cull=True)
        out[triangles[np.unique(raster.face_index[raster.face_index >= 0])]] = True
    return out


def vertex_regions(
    mean: np.ndarray, topology: Topology, material: np.ndarray, points: np.ndarray
) -> dict[str, np.ndarray]:
    """Vertex numbers of each region; `points` are FaceMesh's 468 on the mean head."""
    triangles = topology.faces

    def of(*names: str) -> np.ndarray:
        wanted = np.isin(material, [MATERIALS.index(n) for n in names])
        return np.isin(np.arange(len(mean)), triangles[wanted])

    outside = visible(mean, triangles) & of("skin", "lips") & ~of("eye", "teeth", "tongue", "ear")
    outside &= ~(of("inner_mouth") & ~of("lips"))
    ahead = mean[:, 2] > points[OVAL][:, 2].min() - 0.01
    oval = points[OVAL][:, :2]
    face = outside & ahead & _inside(mean[:, :2], oval)
    wider = outside & ahead & _inside(mean[:, :2], _grown(oval, 1.06))
    return {
        "region_face": np.flatnonzero(face),
        "region_front": np.flatnonzero(wider),
        "region_eyes": np.flatnonzero(of("eye")),
        "region_left_eye": topology.parts["l-eye"],
        "region_right_eye": topology.parts["r-eye"],
        "region_lips": np.flatnonzero(of("lips") & outside),
        "region_ears": np.flatnonzero(of("ear")),
        "region_skin": topology.parts["skin"],
        "region_neck": np.flatnonzero(mean[:, 1] < points[152, 1] - 0.03),
    }


def _grown(polygon: np.ndarray, factor: float) -> np.ndarray:
    centre = polygon.mean(0)
    return centre + factor * (polygon - centre)


def _inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Even-odd rule."""
    out = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
        slope = (points[:, 1] - y0) / np.where(y1 == y0, 1e-12, y1 - y0)
        out ^= crosses & (points[:, 0] < x0 + slope * (x1 - x0))
    return out

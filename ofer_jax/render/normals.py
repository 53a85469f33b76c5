"""Vertex normals: the area-weighted mean of the triangles' normals, in NumPy."""

import numpy as np
from jaxtyping import Float, Int, Shaped


def face_normals(
    vertices: Shaped[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "F 3"]:
    """(b - a) x (c - a): outwards for counter-clockwise triangles, twice the area long."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(
    vertices: Shaped[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "V 3"]:
    """Unit normals [V, 3], outwards; zero for a vertex that no triangle uses."""
    normals = face_normals(vertices, faces)
    flat = faces.reshape(-1)
    repeated = np.repeat(normals, 3, axis=0)
    total = np.stack([np.bincount(flat, repeated[:, k], len(vertices)) for k in range(3)], 1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-20)).astype(np.float32)

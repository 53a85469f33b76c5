"""Plain shading for contact sheets: directional lights on vertex normals, antialiased.

Colour = albedo (ambient + sum over lights of strength max(0, n . l)) + a soft highlight
(Blinn-Phong; Blinn 1977). Rendered `supersample` times larger and averaged down.
"""

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from ofer_jax.render.normals import vertex_normals
from ofer_jax.render.rasterize import interpolate, project, rasterize

CLAY = (0.74, 0.70, 0.66)
_LIGHTS = (((-0.45, 0.55, 0.70), 0.62), ((0.75, 0.10, 0.55), 0.26))  # (towards the light, strength)
_AMBIENT = 0.20
_SHINE = 0.10  # of the highlight; its exponent is 24, three times 8


def light_factor(normals: Float[np.ndarray, "3 N"]) -> tuple[np.ndarray, np.ndarray]:
    """(diffuse [N], highlight [N]) of unit normals facing the camera along +z."""
    diffuse = np.full(normals.shape[1], _AMBIENT, np.float32)
    for direction, strength in _LIGHTS:
        towards = np.array(direction, np.float32) / np.float32(np.linalg.norm(direction))
        diffuse += strength * np.maximum(towards @ normals, 0)
    half = np.array(_LIGHTS[0][0]) / np.linalg.norm(_LIGHTS[0][0]) + (0, 0, 1)
    half /= np.linalg.norm(half)
    facing = np.maximum(half.astype(np.float32) @ normals, 0)
    eighth = np.square(np.square(np.square(facing)))
    return diffuse, _SHINE * eighth * eighth * eighth


def shade(
    vertices: Shaped[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    camera,
    size: tuple[int, int],
    *,
    colors: Shaped[np.ndarray, "V 3"] | None = None,
    supersample: int = 2,
) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]]:
    """Render a posed mesh: (RGB picture on black, coverage 0..1).

    vertices in metres in the camera's frame, camera (s, tx, ty) in pixels of the output, size
    (height, width), colors per vertex 0..1 (default: clay). Lay it over a picture with `over`.
    """
    vertices = np.asarray(vertices, np.float32)
    height, width = size
    k = supersample
    scale, tx, ty = (float(value) for value in camera)
    shift = (k - 1) / 2  # pixel centres are integers in both pictures
    projected = project(vertices, (scale * k, tx * k + shift, ty * k + shift))
    raster = rasterize(projected, faces, height * k, width * k, cull=True)
    colors = np.broadcast_to(
        np.asarray(CLAY if colors is None else colors, np.float32), vertices.shape
    )
    attributes = np.concatenate([vertex_normals(vertices, faces), colors], 1)
    seen, values = interpolate(raster, faces, attributes)
    normals, albedo = values.T[:3], values.T[3:]  # column by column, as they are stored
    normals = normals / np.maximum(np.sqrt(np.sum(normals * normals, 0)), 1e-6)
    diffuse, highlight = light_factor(normals)
    full = np.zeros((4, height * k, width * k), np.float32)
    full[:3, seen] = np.clip(albedo * diffuse + highlight, 0, 1)
    full[3, seen] = 1
    # By whole pictures: several times faster than a mean over two short axes of one.
    mean = np.mean([full[:, i::k, j::k] for i in range(k) for j in range(k)], axis=0)
    return np.rint(mean[:3] * 255).astype(np.uint8).transpose(1, 2, 0), mean[3]


def over(
    picture: UInt8[np.ndarray, "H W 3"],
    render: UInt8[np.ndarray, "H W 3"],
    coverage: Float[np.ndarray, "H W"],
    opacity: float = 1.0,
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay a render of `shade` (already multiplied by its coverage) over a picture."""
    keep = 1 - opacity * coverage[..., None]
    mixed = picture.astype(np.float32) * keep + opacity * render.astype(np.float32)
    return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)

"""Render a scene: the head by z-buffer with per-pixel shading, then what lies around it.

Drawn 1.25 times larger than asked and averaged down, in linear light until the last step.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from data_pipelines.synthetic import backdrop, lighting, paint
from data_pipelines.synthetic import fields as at
from data_pipelines.synthetic.fields import Fields
from data_pipelines.synthetic.noise import box_blur, smoothstep
from data_pipelines.synthetic.scene import Scene
from ofer_jax import render as raster

SIDE = 224
_LARGER = 1.25


class View(NamedTuple):
    """A posed head in front of a camera: vertices [V, 3] m, landmarks [68, 2] px, (s, tx, ty)."""

    vertices: np.ndarray
    landmarks: np.ndarray
    camera: np.ndarray


def frame(scene: Scene, vertices: np.ndarray, landmarks: np.ndarray) -> View:
    """Choose the camera so that the face is as wide, and where, the scene says."""
    low, high = landmarks.min(0), landmarks.max(0)
    upright = max(high[0] - low[0], 0.8 * (high[1] - low[1]))
    scale = scene.share * SIDE / upright
    middle = (low + high) / 2
    tx = scene.centre[0] * SIDE - scale * middle[0]
    ty = scene.centre[1] * SIDE + scale * middle[1]
    camera = np.array([scale, tx, ty], np.float32)
    marks = raster.project(landmarks.astype(np.float32), camera)[:, :2]
    return View(vertices.astype(np.float32), marks, camera)


def render(scene: Scene, view: View, fields: Fields) -> Float[np.ndarray, "224 224 3"]:
    """The picture in front of the camera's sensor: sRGB, float32, 0..1 (see `sensor`)."""
    side = round(SIDE * _LARGER)
    shift = (_LARGER - 1) / 2
    scale, tx, ty = (float(value) * _LARGER for value in view.camera)
    camera = (scale, tx + shift, ty + shift)
    vertices = _with_hair(scene, view.vertices, fields)
    head = raster.rasterize(raster.project(vertices, camera), fields.faces, side, side, cull=True)
    normals = raster.vertex_normals(vertices, fields.faces)
    table = np.concatenate([fields.values, normals], 1)
    seen, values = raster.interpolate(head, fields.faces, table)
    values = values.T
    color = _shaded(scene, fields, head, seen, values, scale)
    rng = np.random.default_rng(scene.seed)
    out = backdrop.background(rng, side) * np.float32(np.exp(rng.normal(0, 0.2)))
    _surround(rng, scene, out, view, vertices, camera, fields, (seen, values, color))
    return _finish(out, scene)


def _with_hair(scene: Scene, vertices: np.ndarray, fields: Fields) -> np.ndarray:
    """The hair cap's volume: vertices above the hairline moved out along their normals."""
    if scene.hair.volume <= 0:
        return vertices
    inside = fields.values[:, at.HAIR] - scene.hair.height
    amount = smoothstep(-0.002, 0.035, inside) * (1 - fields.values[:, at.EAR])
    normals = raster.vertex_normals(vertices, fields.faces)
    return vertices + normals * (scene.hair.volume * amount)[:, None].astype(np.float32)


def _shaded(scene, fields, head, seen, values, scale) -> np.ndarray:
    """Linear colour [3, N] of the covered pixels."""
    kind = fields.kind[head.face_index[seen]]
    normals = values[at.COLUMNS :]
    normals = normals / np.sqrt(np.maximum((normals * normals).sum(0), 1e-12))
    color, gloss, hair = paint.albedo(values, kind, scene.tones, scene.hair)
    openness = lighting.occlusion(head.depth, scale)[seen]
    openness *= np.where(kind >= 2, np.float32(0.55), np.float32(1))
    light = scene.light
    hidden = lighting.cast_shadow(head.depth, scale, light.lamps[0].towards)[seen]
    received = lighting.ambient(normals, light) * openness
    shine = np.zeros_like(color)
    for index, lamp in enumerate(light.lamps):
        tint = paint.rgb(lamp.color)
        soft, wide, narrow = lighting.highlights(normals, lamp)
        amount = (0.10 * wide + 0.22 * narrow) * gloss * openness
        lit = 0.4 + 0.6 * openness
        if index == 0:
            lit *= 1 - light.shadow * hidden
            amount = amount * (1 - light.shadow * hidden) + (1.2 * narrow**8) * (kind == 1)
            shine += tint * paint.rgb(scene.tones.hair) * (0.4 * soft * hair)
        received += lighting.diffuse(normals, lamp) * lit
        shine += tint * amount
    face = (kind == 0) & (values[2] > 0)
    level = received[:, face].mean() if face.any() else received.mean()
    # cameras expose dark skin longer, but not so long that it turns light
    lift = (0.30 / max(float(scene.tones.skin.mean()), 0.02)) ** 0.22
    return (color * received + shine) * np.float32(lift * light.exposure / max(level, 0.05))


def _surround(rng, scene, out, view, vertices, camera, fields, layer) -> None:
    """Back hair, head, clothes and hanging hair laid over `out` in this order."""
    seen, values, color = layer
    side = len(out)
    contour = (view.landmarks[:17] + 0.5) * _LARGER - 0.5
    hair = None
    ambient = np.float32(0.6 * scene.light.exposure)
    if scene.hair.style == "long":
        behind, curtain = backdrop.long_hair(rng, side, contour, scene.hair.length)
        hanging = backdrop.strands(side, scene.tones, scene.tones.offset[0]) * ambient
        _lay(out, hanging * 0.7, behind)
        hair = hanging, curtain
    out[seen] = color.T
    _lashes(out, seen, values, fields, scene)
    neck, width = _collar(vertices, camera, fields)
    cloth, cover = backdrop.clothes(rng, side, neck, width)
    below = np.ones((side, side), np.float32)
    below[seen] = values[1] < fields.landmarks[8, 1] - 0.012
    _lay(out, cloth * ambient * 1.2, cover * below)
    if hair is not None:
        hanging, curtain = hair
        beside = np.ones((side, side), np.float32)
        beside[seen] = np.maximum(values[at.EAR], smoothstep(0.03, 0.0, values[2] + 0.045))
        _lay(out, hanging, box_blur(curtain * beside, 1, passes=1))


def _collar(vertices: np.ndarray, camera, fields: Fields) -> tuple[np.ndarray, float]:
    """(the pixel in the middle of the neck's foot, the neck's width in pixels)."""
    below = fields.landmarks[8, 1] - 0.045  # metres under the chin, at rest
    ring = np.abs(fields.values[:, 1] - below) < 0.012
    foot = raster.project(vertices[ring if ring.any() else slice(None)], camera)[:, :2]
    low, high = np.percentile(foot[:, 0], [2, 98])
    return np.array([(low + high) / 2, np.percentile(foot[:, 1], 75)], np.float32), float(
        high - low
    )


def _lay(out: np.ndarray, color: np.ndarray, mask: np.ndarray) -> None:
    out += (color - out) * mask[..., None]


def _lashes(out: np.ndarray, seen: np.ndarray, values: np.ndarray, fields, scene: Scene) -> None:
    """A dark line and its shade where the upper lid meets the eyeball."""
    eye = np.zeros(seen.shape, np.float32)
    eye[seen] = np.abs(values[at.EYE]).sum(0) > 0.5
    if not eye.any():
        return
    rows, columns = np.nonzero(eye)
    y0, y1 = max(rows.min() - 4, 0), min(rows.max() + 5, len(eye))
    x0, x1 = max(columns.min() - 4, 0), min(columns.max() + 5, len(eye))
    part = eye[y0:y1, x0:x1]
    lower = np.zeros_like(part)
    lower[1:] = part[:-1]  # the eye moved one pixel down: what it misses is the upper lid's edge
    rim = np.clip(part - lower, 0, 1)
    raised = np.zeros_like(rim)
    raised[:-1] = rim[1:]
    line = np.clip(box_blur(rim + raised, 1, passes=1) * 2.2, 0, 1) * scene.tones.lashes
    shade = box_blur(rim, 2, passes=2)
    all_round = np.clip(box_blur(part, 1, 1) - part, 0, 1) * 0.8
    dark = np.clip(0.85 * line + 1.2 * shade + all_round * 0.5, 0, 0.92)
    out[y0:y1, x0:x1] *= (1 - dark)[..., None]


def _finish(out: np.ndarray, scene: Scene) -> np.ndarray:
    """Filmic shoulder, gamma, and the average down to SIDE pixels."""
    out = np.maximum(out, 0)
    out = np.where(out > 0.7, 0.7 + 0.3 * np.tanh((out - 0.7) / 0.45), out)
    srgb = np.uint8(np.clip(out, 0, 1) ** np.float32(1 / 2.2) * 255 + 0.5)
    small = Image.fromarray(srgb).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32) / 255

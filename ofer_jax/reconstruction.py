"""One face: as it was found in a photograph, and everything that is known of it then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ofer_jax import faces, photos


@dataclass(frozen=True)
class Found:
    """One face to reconstruct."""

    photo: photos.Photo
    face: faces.Face
    number: int  # 0: nearest the picture's centre
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reconstruction:
    """Everything known of one face. NumPy, float32; metres, radians (axis-angle), pixels.

    There are two answers. `shapes[0]`, ranked first, is one plausible face, with the detail that a
    mean lacks; all that is posed has this shape. `mean_shape` is the point estimate: smoother than
    any real face, it errs less on average.

    `camera` is (s, tx, ty): with (X, Y, Z) a vertex posed by `global_rotation` (and the chosen
    expression), pixel x = s X + tx, y = -s Y + ty.
    """

    photo: photos.Photo
    face: faces.Face
    number: int
    notes: tuple[str, ...]
    seed: int
    head: dict[str, str]  # name, sha256, release
    bundle: str  # hash of the parameters that made it
    mode: str  # of an imported bundle, see `published.MODES`; else ''
    shapes: Float[np.ndarray, "K S"]  # coefficients, standard deviations; best first
    scores: Float[np.ndarray, "K"]  # descending
    vertices: Float[np.ndarray, "K V 3"]  # of the shapes, neutral
    mean_shape: Float[np.ndarray, "S"]  # mean of the K shapes' coefficients
    mean_vertices: Float[np.ndarray, "V 3"]  # of it, neutral
    expressions: Float[np.ndarray, "M E"]
    jaws: Float[np.ndarray, "M 3"]
    expression_vertices: Float[np.ndarray, "M V 3"]  # of the best shape, head upright
    expression: int  # the one that fits the picture best
    global_rotation: Float[np.ndarray, "3"]
    camera: Float[np.ndarray, "3"]
    camera_error: float  # mean distance of the fitted points, pixels
    posed_vertices: Float[np.ndarray, "V 3"]  # best shape, chosen expression, in the camera's frame
    landmarks: Float[np.ndarray, "68 3"]  # of posed_vertices
    landmarks_px: Float[np.ndarray, "68 2"]
    spread: Float[np.ndarray, "V"]  # root mean square distance of the K shapes from their mean
    triangles: Int[np.ndarray, "F 3"]

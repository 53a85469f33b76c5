"""Photograph -> faces, aligned crops and features, by small open networks whose weights are data.

`detect` (BlazeFace, FaceMesh), `crop_112`, `chip_150` (aligned crops), `embed` (dlib's network),
`features` (all of it projected to `FEATURES` numbers, what the open head's encoders read, and `MAP`
more, the middle map of dlib's network as a whole, for its ranker).
Pictures are uint8 RGB [H, W, 3] arrays; positions are pixels with centres at integers, y down.
"""

from ofer_jax.faces.crops import crop_112, crop_224, matrix_224
from ofer_jax.faces.descriptors import (
    FEATURES,
    MAP,
    RawFeatures,
    centred_map,
    chip_150,
    features,
    fit_projection,
    project,
    raw_features,
)
from ofer_jax.faces.embedding import embed
from ofer_jax.faces.finder import detect, detect_batch
from ofer_jax.faces.types import Face

__all__ = [
    "FEATURES",
    "MAP",
    "Face",
    "RawFeatures",
    "centred_map",
    "chip_150",
    "crop_112",
    "crop_224",
    "detect",
    "detect_batch",
    "embed",
    "features",
    "fit_projection",
    "matrix_224",
    "project",
    "raw_features",
]

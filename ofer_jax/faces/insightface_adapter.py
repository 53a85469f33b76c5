"""insightface behind the interface of `ofer_jax.faces`, for those who may use its models.

The package is an extra (`pip install insightface onnxruntime`; code MIT). Its models are for
non-commercial research only and are fetched at first use, or read from a folder of ONNX files. It
is imported inside functions, so nothing here costs anything unless it is called.

insightface has no mesh of 468 points: `Face.points` is NaN and `Face.presence` is 0, so the open
features cannot be made of these faces; `crop_112` and `embed` (ArcFace, 512 values) can.
"""

from functools import cache
from typing import Any

import numpy as np

from ofer_jax.faces import align
from ofer_jax.faces.finder import nearest_first
from ofer_jax.faces.types import Face

MODEL = "antelopev2"


@cache
def analysis(name: str = MODEL, size: int = 640) -> Any:
    """insightface's analyser: `name` is a model pack or a folder of ONNX files.

    Raises ValueError when the package is missing or the models can be neither found nor fetched.
    """
    try:
        from insightface.app import FaceAnalysis
    except ImportError as error:
        raise ValueError("insightface is not installed: pip install insightface") from error
    try:
        app = FaceAnalysis(name=name, allowed_modules=["detection", "recognition"])
    except (OSError, AssertionError, RuntimeError) as error:  # ConnectionError is an OSError
        raise ValueError(f"insightface found no models for {name!r}: {error}") from error
    app.prepare(ctx_id=-1, det_size=(size, size))
    return app


def detect(image: np.ndarray, name: str = MODEL, *, every: bool = True) -> list[Face]:
    """Faces in an RGB picture uint8 [H, W, 3], nearest to its centre first.

    It finds small faces in any case; `every` is there for the shared interface.
    """
    found = analysis(name).get(np.ascontiguousarray(image[..., ::-1]))  # it reads BGR
    height, width = image.shape[:2]
    return nearest_first([_face(each) for each in found], (width, height))


def detect_batch(images: list[np.ndarray], name: str = MODEL) -> list[list[Face]]:
    """The same for several pictures, one after the other."""
    return [detect(image, name) for image in images]


def embed(crops: np.ndarray, name: str = MODEL) -> np.ndarray:
    """ArcFace's embeddings [B, 512] (not normalised) of uint8 [B, 112, 112, 3] RGB crops."""
    recognition = analysis(name).models["recognition"]
    return np.stack([recognition.get_feat(np.ascontiguousarray(c[..., ::-1]))[0] for c in crops])


def _face(found: Any) -> Face:
    five = np.asarray(found.kps, np.float64)
    keypoints = np.full((6, 2), np.nan)  # it knows no ears
    keypoints[:4] = [*five[:3], five[3:].mean(0)]
    return Face(
        box=np.asarray(found.bbox, np.float64),
        keypoints=keypoints,
        score=float(found.det_score),
        points=np.full((468, 3), np.nan),
        presence=0.0,
        five=five,
    )


def crop_112(image: np.ndarray, face: Face) -> np.ndarray:
    """ArcFace's aligned crop, uint8 [112, 112, 3]."""
    return align.warp(image, align.arcface_matrix(face.five), 112)

"""insightface behind the interface of `ofer_jax.faces`, for those who may use its models.

    faces = Detector("antelopev2")  # or a folder of that pack's ONNX files
    found = faces.detect(picture)  # nearest to the picture's centre first
    crop = faces.crop_112(picture, found[0])

The package is an extra (`pip install insightface`; code MIT). Its models are for non-commercial
research only; a pack's name fetches them at first use. It is imported inside functions, so nothing
here costs anything unless it is called.

MICA and OFER prepare their data with antelopev2, each photograph shrunk to 224 x 224 pixels, which
is the default here, and take the face nearest to the picture's centre. insightface has no mesh of
468 points: `Face.points` is NaN and `Face.presence` 0, so the open features cannot be made of these
faces. `Face.landmarks` are those of 1k3d68 or else of 2d106det, where the pack has one of them.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ofer_jax.faces import align, crops
from ofer_jax.faces.finder import nearest_first
from ofer_jax.faces.types import Face

PACK = "antelopev2"
LICENCE = "insightface's models are for non-commercial research only (see its model_zoo)"
LANDMARKS = ("landmark_3d_68", "landmark_2d_106")  # the better one first
# The 106 points' places among iBUG's 68 (the package knows them in no order of its own).
_OF_106 = (
    *(1, 10, 12, 14, 16, 3, 5, 7, 0, 23, 21, 19, 32, 30, 28, 26, 17),  # jaw
    *(43, 48, 49, 51, 50, 102, 103, 104, 105, 101),  # brows
    *(72, 73, 74, 86, 78, 79, 80, 85, 84),  # nose
    *(35, 41, 42, 39, 37, 36, 89, 95, 96, 93, 91, 90),  # eyes
    *(52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55, 65, 66, 62, 70, 69, 57, 60, 54),  # mouth
)


@dataclass(frozen=True)
class Detector:
    """insightface's detector with its settings; it travels to worker processes by them.

    `models` is a pack's name or a folder of ONNX files, `size` the side of the square that a
    photograph is shrunk to, `threshold` the score below which nothing counts as a face (a data
    set's own, higher limit is for the caller to apply).
    """

    models: str = PACK
    size: int = 224
    threshold: float = 0.5

    def detect(self, image: np.ndarray, *, every: bool = True) -> list[Face]:
        """Faces in an RGB picture uint8 [H, W, 3], nearest to its centre first.

        It looks for all faces in any case; `every` is there for the shared interface. Raises
        ValueError when the package or the models are missing.
        """
        app = analysis(self.models, self.size, self.threshold)
        bgr = np.ascontiguousarray(image[..., ::-1])
        boxes, fives = app.det_model.detect(bgr)
        if fives is None:
            raise ValueError(f"the detector of {self.models!r} gives no five points")
        height, width = image.shape[:2]
        found = [_face(app, bgr, b, five) for b, five in zip(boxes, fives, strict=True)]
        return nearest_first(found, (width, height))

    def detect_batch(self, images: list[np.ndarray], *, closer: bool = True) -> list[list[Face]]:
        """The same for several pictures, one after the other (`closer` as `every` above)."""
        return [self.detect(image) for image in images]

    crop_112 = staticmethod(crops.crop_112)

    @staticmethod
    def matrix_224(face: Face) -> np.ndarray:
        """Photograph -> FaRL's crop as OFER cuts it: upright, 1.6 times the detector's box."""
        centre, side = face.box.reshape(2, 2).mean(0), float(np.mean(face.box[2:] - face.box[:2]))
        return align.square_matrix(centre, crops.SCALE * side, 224)

    @staticmethod
    def crop_224(image: np.ndarray, face: Face) -> np.ndarray:
        """FaRL's crop, uint8 RGB [224, 224, 3], black outside of the picture."""
        return align.warp(image, Detector.matrix_224(face), 224)

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """ArcFace's embeddings [B, 512] (not normalised) of uint8 [B, 112, 112, 3] RGB crops."""
        models = analysis(self.models, self.size, self.threshold, "recognition").models
        if "recognition" not in models:
            raise ValueError(f"{self.models!r} holds no recognition model; {LICENCE}")
        bgr = [np.ascontiguousarray(crop[..., ::-1]) for crop in crops]
        return models["recognition"].get_feat(bgr)


@cache
def analysis(models: str, size: int, threshold: float, *more: str) -> Any:
    """insightface's analyser with the detector, the landmarks and `more` of a pack or a folder.

    Raises ValueError of one line when the package is missing, or the models can be neither found
    nor fetched.
    """
    try:
        from insightface.app import FaceAnalysis
    except ImportError as error:
        raise ValueError("insightface is not installed: pip install insightface") from error
    modules = ["detection", *(more or LANDMARKS)]
    place = _place(models)
    try:
        app = _analyser(FaceAnalysis, place, modules)
    except Exception as error:  # of the network, the archive, or ONNX Runtime's own kinds
        said = " ".join(str(error).split())[:200] or "no detection model among them"
        raise ValueError(f"insightface found no models for {models!r}: {said}; {LICENCE}") from None
    app.prepare(ctx_id=-1, det_thresh=threshold, det_size=(size, size))
    return app


def _analyser(make: Any, place: str, modules: list[str]) -> Any:
    options = _one_thread() if os.environ.get("OMP_NUM_THREADS") == "1" else {}
    try:
        return make(name=place, allowed_modules=modules, **options)
    except AssertionError:
        inside = _place(place)  # antelopev2's archive holds a folder in a folder
        if inside == place:
            raise
        return make(name=inside, allowed_modules=modules, **options)


def _one_thread() -> dict[str, Any]:
    """Worker processes share the cores, and ONNX Runtime does not read OpenMP's settings."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return {"sess_options": options}


def _place(models: str) -> str:
    """The folder of the ONNX files, or the pack's name where it is not there yet.

    Raises ValueError for a folder that is not there, or holds no ONNX file.
    """
    given, pack = Path(models).expanduser(), Path(models).name
    kept = Path("~/.insightface/models", models).expanduser()
    for folder in (given, given / pack, kept, kept / pack):
        if any(folder.glob("*.onnx")):
            return str(folder.resolve())
    if given.is_dir() or len(given.parts) > 1:
        what = "no ONNX file in" if given.is_dir() else "no folder"
        raise ValueError(f"{what} {models}: give the folder of insightface's models; {LICENCE}")
    return models


def _face(app: Any, bgr: np.ndarray, box: np.ndarray, points: np.ndarray) -> Face:
    from insightface.app.common import Face as Found

    five = np.asarray(points, np.float64)
    keypoints = np.full((6, 2), np.nan)  # it knows no ears
    keypoints[:4] = [*five[:3], five[3:].mean(0)]
    found = Found(bbox=box[:4], kps=points, det_score=box[4])
    return Face(
        box=np.asarray(box[:4], np.float64),
        keypoints=keypoints,
        score=float(box[4]),
        points=np.full((468, 3), np.nan),
        presence=0.0,
        five=five,
        landmarks=_landmarks(app.models, bgr, found),
    )


def _landmarks(models: dict[str, Any], bgr: np.ndarray, found: Any) -> np.ndarray:
    for name in LANDMARKS:
        if name in models:
            points = np.asarray(models[name].get(bgr, found), np.float64)[:, :2]
            return points[list(_OF_106)] if len(points) == 106 else points
    return np.full((68, 2), np.nan)

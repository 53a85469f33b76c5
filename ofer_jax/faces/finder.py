"""Photograph -> faces: BlazeFace finds them, FaceMesh places their points.

The whole photograph is looked at first. Only when that shows no face which FaceMesh confirms come
turned views, one with a wide margin (a face larger than the frame) and tiles (small faces); what
those find, also below the usual score, counts when FaceMesh is sure of it, so that more views do
not mean more false faces. A nearly hidden face that only the detector sees
is the last resort: it must see it steadily, also mirrored and at other sizes.
"""

import numpy as np
from PIL import Image

from ofer_jax.faces import detector, mesh
from ofer_jax.faces.types import Face

CONFIRMED = 0.5  # presence from which FaceMesh's points are trusted
UNSURE = 0.3  # the detector's score in the second look, ...
SURE = 0.9  # ... and the presence it takes there
STEADY = 0.6  # mean score over eight views, a little presence counted in, of an unconfirmed face
MARGIN = 1.6
# Half the mouth's width over the distance between the eyes (median of FaceMesh on photographs).
MOUTH = 0.4
_MIRROR = np.diag([-1.0, 1.0])
_MIRROR_SHIFT = np.array([[0.0, 0.0, detector.SIZE - 1], [0.0, 0.0, 0.0]])
_TURNS = (np.array([0.0, 1.0]), np.array([0.0, -1.0]), np.array([-1.0, 0.0]))


def detect(image: np.ndarray, *, every: bool = False) -> list[Face]:
    """Faces (maybe none) in an RGB picture uint8 [H, W, 3], nearest to its centre first.

    A face much smaller than the others is only looked for with `every`.
    """
    faces = detect_batch([image])[0]
    if not every:
        return faces
    picture = _picture(image)
    return nearest_first(faces + _smaller(picture, faces), picture.size)


def detect_batch(images: list[np.ndarray], *, closer: bool = True) -> list[list[Face]]:
    """Faces of each picture uint8 [H, W, 3] (any sizes); the networks run in jitted batches.

    `closer=False` leaves the second look out (some 0.3 s for each picture without a confirmed
    face): for pictures that are known to show one face, of good size. Raises ValueError for an
    array that is not uint8 RGB.
    """
    pictures = [_picture(image) for image in images]
    if not pictures:
        return []
    found = detector.find(pictures, [detector.whole(*p.size) for p in pictures])
    faces = _faces(pictures, found)
    if closer:
        pairs = zip(faces, pictures, strict=True)
        faces = [own if _any_confirmed(own) else _look_again(p, own) for own, p in pairs]
    return [nearest_first(own, p.size) for own, p in zip(faces, pictures, strict=True)]


def _picture(image: np.ndarray) -> Image.Image:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"expected a uint8 RGB picture [H, W, 3], got {image.dtype}{image.shape}")
    return Image.fromarray(image)


def _faces(pictures: list[Image.Image], found: list[list[detector.Detection]]) -> list[list[Face]]:
    """Places FaceMesh's points on all detections of all pictures at once.

    Where FaceMesh confirms some faces of a picture, those it does not are taken for false ones.
    """
    owners = [i for i, each in enumerate(found) for _ in each]
    detections = [d for each in found for d in each]
    faces: list[list[Face]] = [[] for _ in pictures]
    if not owners:
        return faces
    points, presence = _points([pictures[i] for i in owners], detections)
    for i, detection, p, sure in zip(owners, detections, points, presence, strict=True):
        faces[i].append(_face(detection, p, float(sure)))
    return [[f for f in each if f.presence >= CONFIRMED] or each for each in faces]


def _points(
    pictures: list[Image.Image], detections: list[detector.Detection]
) -> tuple[np.ndarray, np.ndarray]:
    """Points and presence of one detection a picture, by two passes.

    The second pass takes its crop from the first one's points, as a tracker does: that halves the
    jitter of the points under small changes of the picture. It counts unless the face gets lost.
    """
    matrices = [mesh.crop_matrix(box, keypoints) for box, keypoints, _ in detections]
    first, presence = mesh.find(pictures, matrices)
    points, again = mesh.find(pictures, [mesh.refined_matrix(p) for p in first])
    held = again >= np.minimum(presence, CONFIRMED)
    return np.where(held[:, None, None], points, first), np.where(held, again, presence)


def _face(detection: detector.Detection, points: np.ndarray, presence: float) -> Face:
    box, keypoints, score = detection
    five = five_of_points(points) if presence >= CONFIRMED else five_of_keypoints(keypoints)
    return Face(box, keypoints, score, points, presence, five)


def five_of_points(points: np.ndarray) -> np.ndarray:
    """ArcFace's five points [5, 2] of FaceMesh's [468, 3]: eye middles, nose tip, mouth corners."""
    eyes = [points[[33, 133]].mean(0), points[[362, 263]].mean(0)]
    return np.stack([*eyes, points[1], points[61], points[291]])[:, :2]


def five_of_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """ArcFace's five points [5, 2] of the detector's six, for a face that is nearly hidden.

    It knows the mouth's centre only: the corners lie along the line of the eyes.
    """
    right_eye, left_eye, nose, mouth = keypoints[:4]
    half = MOUTH * (left_eye - right_eye)
    return np.stack([right_eye, left_eye, nose, mouth - half, mouth + half])


def _look_again(picture: Image.Image, unconfirmed: list[Face]) -> list[Face]:
    return _look_closer(picture) or [face for face in unconfirmed if _steady(picture, face)]


def _steady(picture: Image.Image, face: Face) -> bool:
    """Does the detector see this face whatever the view? (It falls for some patterns in one.)"""
    plain = [detector.whole(*picture.size, margin) for margin in (0.9, 1.0, 1.15, 1.3)]
    views = [*plain, *(_MIRROR @ view + _MIRROR_SHIFT for view in plain)]
    scores = [
        max((d[2] for d in each if detector.overlap(d[0], face.box) > detector.OVERLAP), default=0)
        for each in detector.find([picture] * len(views), views, UNSURE)
    ]
    return float(np.mean(scores)) + 0.3 * face.presence >= STEADY


def _look_closer(picture: Image.Image) -> list[Face]:
    """The second look: stops at the first kind of view in which FaceMesh is sure of a face."""
    for views in _closer_views(*picture.size):
        found = detector.find([picture] * len(views), views, UNSURE)
        merged = detector.suppress([d for each in found for d in each])
        faces = [f for f in _faces([picture], [merged])[0] if f.presence >= SURE]
        if faces:
            return faces
    return []


def _smaller(picture: Image.Image, faces: list[Face]) -> list[Face]:
    """Faces of which FaceMesh is sure in tiles of the picture, where none is known yet."""
    out: list[Face] = []
    for views in _tiles(*picture.size):
        found = detector.find([picture] * len(views), views)
        merged = detector.suppress([d for each in found for d in each])
        known = [face.box for face in (*faces, *out)]
        fresh = [d for d in merged if not any(_same_place(d[0], box) for box in known)]
        out += [f for f in _faces([picture], [fresh])[0] if f.presence >= SURE]
    return out


def _same_place(a: np.ndarray, b: np.ndarray) -> bool:
    """Does the middle of one box lie in the other?"""
    return any(
        bool(np.all(box[:2] <= middle) and np.all(middle <= box[2:]))
        for box, middle in ((a, (b[:2] + b[2:]) / 2), (b, (a[:2] + a[2:]) / 2))
    )


def _tiles(width: int, height: int) -> list[list[np.ndarray]]:
    long, short = max(width, height), min(width, height)
    return [detector.tiles(width, height, side) for side in (short, long / 2, long / 4)]


def _closer_views(width: int, height: int) -> list[list[np.ndarray]]:
    plain, wide = detector.whole(width, height), detector.whole(width, height, MARGIN)
    turned = [detector.whole(width, height, direction=turn) for turn in _TURNS]
    return [[plain, wide], *_tiles(width, height), turned]


def _any_confirmed(faces: list[Face]) -> bool:
    return any(face.presence >= CONFIRMED for face in faces)


def nearest_first(faces: list[Face], size: tuple[int, int]) -> list[Face]:
    """Faces of a picture of `size` (width, height), the one nearest to its centre first."""
    centre = (np.array(size) - 1) / 2
    return sorted(faces, key=lambda f: float(np.linalg.norm((f.box[:2] + f.box[2:]) / 2 - centre)))

"""The photographs of `make demo`, each also with something held before the face.

Both are in the public domain: launch/demo_photos/NOTICE.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from data_pipelines.synthetic import occluders
from ofer_jax import faces, photos

PHOTOS = Path(__file__).parent / "demo_photos"
THINGS = {"astronaut": "sunglasses", "grace_hopper": "hand"}
# FaceMesh's points nearest to the 68 landmarks: contour, brows, nose, eyes, lips.
MARKS = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)


def make(folder: Path) -> list[Path]:
    """The photographs, each followed by its copy in `folder` with something before the face."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, thing in THINGS.items():
        image = photos.read(PHOTOS / f"{name}.jpg").image
        marks = faces.detect(image)[0].points[list(MARKS), :2]
        hidden, _, _ = occluders.apply(np.random.default_rng(0), image, marks, thing)
        files += [PHOTOS / f"{name}.jpg", folder / f"{name}-{thing}.png"]
        Image.fromarray(hidden).save(files[-1])
    return files

"""A quick stand-in for the detector and a source of small pictures, to build sets of `faces` from.

As a program it builds one slowly, noting each picture it looks at, so that tests can kill it:

    python -m tests.stub_faces FOLDER WORKERS [RUNNER]
"""

import functools
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipelines import beam, faces_tfds, prepared, sets
from data_pipelines.preparation import Settings
from data_pipelines.sets import Entry, Listing, Truth
from ofer_jax.faces import Face, align

HEAD = {"name": "stub-head", "sha256": "0" * 64, "release": "stub-1"}
PART = 4
PICTURES = 22


class Stub:
    """Sees a face in the middle of every picture that is not black in its corner."""

    def __init__(self, log: str = "", seconds: float = 0.0):
        self.log, self.seconds = log, seconds

    def detect_batch(self, images):
        time.sleep(self.seconds)
        if self.log:
            with open(self.log, "a") as file:
                file.write("".join(f"{image[0, 0].tolist()}\n" for image in images))
        return [[self._face(image)] if image[0, 0].max() > 9 else [] for image in images]

    @staticmethod
    def matrix_224(face):
        return align.square_matrix(face.box.reshape(2, 2).mean(0), 90.0, 224)

    @staticmethod
    def _face(image):
        side = image.shape[0] / 112
        score = 0.4 if image[0, 0, 2] > 200 else 0.9
        return Face(
            box=np.array([20.0, 20, 92, 92]) * side,
            keypoints=np.full((6, 2), np.nan),
            score=score,
            points=np.full((468, 3), np.nan),
            presence=0.0,
            five=align.ARCFACE_TEMPLATE * side,
        )


def source(folder: Path, count: int = PICTURES) -> Listing:
    """A listing of `count` small pictures of people of three pictures each."""
    entries = []
    for number in range(count):
        path = folder / "source" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            ramp = np.linspace(0, 120, 112)[:, None, None] + np.arange(3)[None, None]
            picture = np.broadcast_to(ramp, (112, 112, 3)).astype(np.uint8).copy()
            picture[0, 0] = (10 + number, 10, 10)
            Image.fromarray(picture).save(path)
        truth = Truth("inline", "", (number / 10,) * 20)
        subject, name = f"person {number // 3:02d}", f"{number:03d}"
        entries.append(Entry("plain", subject, name, str(path), "", "", truth))
    return Listing("plain", str(folder / "source"), "plain", tuple(entries))


def build(folder: Path, make=None, *, log: str = "", seconds: float = 0.0, out="set", **options):
    """Builds FOLDER/set of FOLDER/source; returns its card."""
    listing = options.pop("listing", None) or source(folder)
    score = options.pop("min_score", 0.5)
    settings = Settings("stub-1", "stub", functools.partial(Stub, log, seconds), min_score=score)
    splits = sets.split(listing, 0.3, 0.2)
    return faces_tfds.build(
        folder / out, listing, splits, settings, head=HEAD, make=make, **options
    )


def main(folder: str, workers: str, runner: str = "") -> None:
    prepared.PART = PART
    count = int(workers)
    make = beam.mapper(runner, [], count) if runner else prepared.workers(count)
    build(Path(folder), make, log=f"{folder}/looked.txt", seconds=0.3)


if __name__ == "__main__":
    main(*sys.argv[1:])

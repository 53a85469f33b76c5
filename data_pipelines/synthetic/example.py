"""One example of the synthetic set: a head's picture, the same picture occluded, and the truth.

`make(seed, subject)` depends on nothing else, so any process makes any example, in any order. It
costs about 60 ms on one core. Set OPENBLAS_NUM_THREADS=1 in worker processes.
"""

from typing import Any

import numpy as np

from data_pipelines.synthetic import bodies, heads, occluders, picture, sensor
from data_pipelines.synthetic import scene as scenes
from data_pipelines.synthetic.heads import Head
from data_pipelines.synthetic.scene import Scene

_LOOKS = 1_000_003  # the second stream, so that occluders never shift what the head looks like


def draw(rng: np.random.Generator, head: Head) -> Scene:
    """Everything the clean picture depends on."""
    body = bodies.draw(rng, head.surface, head.model.num_shape)
    return Scene(
        body=body,
        tones=scenes.draw_tones(rng),
        light=scenes.draw_light(rng),
        hair=scenes.draw_hair(rng),
        share=rng.uniform(0.35, 0.75) if rng.uniform() < 0.4 else rng.uniform(0.42, 0.62),
        centre=rng.uniform([0.42, 0.48], [0.58, 0.60]),
        seed=int(rng.integers(2**31)),
    )


def make(seed: int, subject: int, head: Head | None = None) -> dict[str, Any]:
    """The record of subject `subject` of the set `seed`.

    image, occluded: uint8 [224, 224, 3], after the same camera and JPEG. mask: bool [224, 224],
    true exactly where the two differed before JPEG (the occluder, its edge, its contact shadow,
    tinted glass; JPEG then lets a little through to neighbouring pixels). shape [300],
    expression [100], jaw [3], neck [3], eyes [6], global_rotation [3]: radians. camera [3] =
    (s, tx, ty) and landmarks [68, 2]: pixels. subject: int64. occluder, head: names.
    Raises ValueError for a negative seed or subject.
    """
    if seed < 0 or subject < 0:
        raise ValueError(f"seed and subject must not be negative: {seed}, {subject}")
    head = heads.open_head() if head is None else head
    rng = np.random.default_rng([seed, subject])
    scene = draw(rng, head)
    camera = sensor.draw(rng)
    vertices, marks = heads.pose(head, scene.body)
    view = picture.frame(scene, vertices, marks)
    before = picture.render(scene, view, head.fields)
    chance = np.random.default_rng([seed, subject, _LOOKS])
    hidden, _, kind = occluders.apply(chance, before, view.landmarks)
    clean, occluded = sensor.develop(before, camera), sensor.develop(hidden, camera)
    return {
        "image": sensor.jpeg(clean, camera.quality),
        "occluded": sensor.jpeg(occluded, camera.quality),
        "mask": (clean != occluded).any(-1),
        **{name: np.asarray(value, np.float32) for name, value in vars(scene.body).items()},
        "camera": view.camera,
        "landmarks": view.landmarks.astype(np.float32),
        "subject": np.int64(subject),
        "occluder": kind,
        "head": head.model.name,
    }

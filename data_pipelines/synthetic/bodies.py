"""Draw a head's coefficients: identity, pose, gaze, and an expression of a few facial units.

The units act as in the head's own prior (`data_pipelines.openhead.expressions`), the two sides of
a face nearly alike; the jaw opens in half of all pictures.
"""

import numpy as np

from data_pipelines.openhead.expressions import draw_activations
from data_pipelines.synthetic.scene import Body, draw_rotation


def draw(rng: np.random.Generator, surface: dict[str, np.ndarray], num_shape: int) -> Body:
    """shape ~ N(0, I); the rest from the ranges of a portrait."""
    expression, jaw = draw_expression(rng, surface)
    gaze = np.radians(np.clip(rng.normal(0, [5, 9]), [-14, -22], [14, 22]))  # pitch, yaw
    apart = np.radians(rng.normal(0, 0.7, 2))
    eyes = [gaze[0], gaze[1] + apart[0], 0.0, gaze[0], gaze[1] + apart[1], 0.0]
    return Body(
        shape=rng.standard_normal(num_shape).astype(np.float32),
        expression=expression,
        global_rotation=draw_rotation(rng).astype(np.float32),
        neck=np.radians(np.clip(rng.normal(0, 3, 3), -8, 8)).astype(np.float32),
        jaw=jaw,
        eyes=np.array(eyes, np.float32),
    )


def draw_expression(
    rng: np.random.Generator, surface: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(coefficients [E], jaw [3] axis-angle): 30 % of all faces are at or near neutral."""
    activation = draw_activations(rng, [str(name) for name in surface["unit_names"]], neutral=0.15)
    near_rest = rng.uniform() < 0.18
    jaw = np.zeros(3, np.float32)
    if rng.uniform() < 0.5:
        jaw[0] = min(abs(rng.normal(0, 0.12)), float(surface["jaw_open"]))
        jaw[1] = rng.normal(0, 0.015)
    if near_rest:
        activation, jaw = 0.25 * activation, 0.25 * jaw
    return (activation @ surface["unit_to_expression"]).astype(np.float32), jaw

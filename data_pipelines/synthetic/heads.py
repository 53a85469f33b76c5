"""A head as data for pictures: the FLAME-layout model, its surface and the fields on it."""

from dataclasses import dataclass
from functools import cache

import jax
import numpy as np

from data_pipelines.synthetic import fields
from data_pipelines.synthetic.scene import Body
from ofer_jax import flame, openhead


@dataclass(frozen=True)
class Head:
    """model: a FlameModel; surface: `openhead.surface()`; fields: what the painter needs."""

    model: flame.FlameModel
    fields: fields.Fields
    surface: dict[str, np.ndarray]


@cache
def open_head() -> Head:
    """The embedded open head; loaded once a process."""
    model = flame.load(openhead.head_path())
    surface = openhead.surface()
    template = np.asarray(model.v_template)
    marks = np.asarray(flame.landmarks(model, template[None]))[0]
    faces = np.asarray(model.faces)
    made = fields.make(template, faces, marks, surface["material"], surface["material_names"])
    return Head(model, made, surface)


@jax.jit
def _posed(model: flame.FlameModel, parts: dict) -> tuple[jax.Array, jax.Array]:
    vertices = flame.vertices(model, **parts)
    return vertices, flame.landmarks(model, vertices)


def pose(head: Head, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """(vertices [V, 3], 68 landmarks [68, 3]) in metres."""
    parts = {name: np.asarray(value, np.float32)[None] for name, value in vars(body).items()}
    vertices, marks = _posed(head.model, parts)
    return np.asarray(vertices)[0], np.asarray(marks)[0]

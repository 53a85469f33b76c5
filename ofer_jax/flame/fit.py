"""Registered meshes to coefficients: vertex to vertex, the shape shared by a subject's frames.

Of a subject with frames f, whose meshes x have the head's own vertices, is sought the minimum of

    E = sum_f ( sum_i w_i |v_i(shape, expression_f, pose_f) - x_fi|^2 + n^2 |expression_f|^2
                + n^2 sum_j |rotation_fj|^2 / d_j^2 ) + n^2 |shape|^2

that is the most probable head if coordinates scatter by n about the model, coefficients by 1 and
the rotations of neck, jaw and eyes by d_j about rest. v is that of `lbs`, and a translation.

**Gauss-Newton in the rest pose.** With M_i = sum_j w_ij R_j the blended rotation of vertex i, a
change dc of the coefficients moves it by M_i B_i dc + (what the moved joints do). As R^T R = 1, the
first part's Gram matrix sum_i w_i B_i^T M_i^T M_i B_i is that of the rest pose where one joint
moves the vertex, and smaller elsewhere: so G = sum_i w_i B_i^T B_i bounds the curvature from above,
never changes, and is factored once for all meshes, by a change of variables (`fit_problem`):

    expression = A y,  A^T (G_ee + n^2) A = 1     no system is left to solve for y
    shape = U z,  U^T (G_ss - C^T C) U = D        C = A^T G_es, D diagonal, U orthogonal

What the joints of neck and jaw do is a step's own unknown h, held to h = (J B) dc by a stiff spring
k |h - J B dc|^2, whose part k (J B)^T (J B) G includes. With it the pose p has q = 24 numbers a
frame: a small turn of each of the 5 joints in its own frame (R becomes R exp(dr)), the translation
and h. Only these columns H, X of the Jacobian are computed in each step (`fit_step`). With
gradients -g, X = A^T H_ep and Q = U^T (H_sp - C^T X), a step solves the arrow-shaped system of z
and all (y_f, p_f) by eliminating the frames first (Schur complements):

    P_f = H_pp + damping - X^T X                                                      [q, q]
    (F D + n^2 - sum_f Q P^-1 Q^T) dz = sum_f (g_z - C^T g_y - Q P^-1 (g_p - X^T g_y))
    dp_f = P^-1 (g_p - X^T g_y - Q^T dz),    dy_f = g_y - X dp_f - C dz

It is taken where E falls; else the pose's damping grows (Levenberg-Marquardt; the coefficients
enter linearly and need none). Triggs et al., "Bundle adjustment", 2000, section 6.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax.arrays import Array, Float
from ofer_jax.flame import fit_step
from ofer_jax.flame.fit_problem import Problem, Settings, of_shape
from ofer_jax.flame.fit_problem import prepare as _prepare
from ofer_jax.flame.model import FlameModel
from ofer_jax.flame.rotations import matrix_to_axis_angle

__all__ = ["Fit", "Problem", "Settings", "fault", "frames", "prepare", "subjects"]

_ALIKE = 2.0  # a head is at most so many times larger or smaller than the template


class Fit(NamedTuple):
    """N subjects with F frames each: what `flame.vertices` takes, and the translation to add.

    Residuals are distances of vertices, metres, over those with a weight.
    """

    shape: Float[Array, "N S"]
    expression: Float[Array, "N F E"]
    global_rotation: Float[Array, "N F 3"]
    neck: Float[Array, "N F 3"]
    jaw: Float[Array, "N F 3"]
    eyes: Float[Array, "N F 6"]
    translation: Float[Array, "N F 3"]
    mean_residual: Float[Array, "N F"]
    max_residual: Float[Array, "N F"]


def prepare(
    model: FlameModel,
    weights: Float[np.ndarray, "V"] | None = None,
    settings: Settings | None = None,
) -> Problem:
    """What does not depend on the meshes; about a second.

    Args:
        model: the head.
        weights: of the vertices, at least 0; those without weight are not looked at (default: all
            alike). Only their proportions count.
        settings: priors and number of steps.

    Raises:
        ValueError: if the weights are not one for each vertex, finite, and most of them not 0.
    """
    weights = np.ones(model.num_vertices) if weights is None else np.asarray(weights, np.float64)
    if weights.shape != (model.num_vertices,):
        raise ValueError(f"weights has shape {weights.shape}, not ({model.num_vertices},)")
    if not np.isfinite(weights).all() or weights.min() < 0 or np.sum(weights > 0) < 100:
        raise ValueError("weights have to be finite, at least 0, and above it for 100 vertices")
    kept = np.flatnonzero(weights)
    return _prepare(model, kept, weights[kept] / weights[kept].mean(), settings or Settings())


def subjects(
    problem: Problem,
    meshes: Float[Array, "N F V 3"],
    present: Float[Array, "N F"] | None = None,
) -> Fit:
    """The shape of each subject, and the expression and pose of each of its frames.

        problem = fit.prepare(head)
        found = fit.subjects(problem, meshes)  # [N, F, 5023, 3], metres
        again = flame.vertices(head, shape=found.shape, expression=found.expression[:, 0], ...)

    Args:
        problem: of the head; `prepare` it once.
        meshes: vertices in the head's order, metres: check them by `fault`.
        present: 0 for frames that only fill a row (default: none).

    Raises:
        ValueError: if the meshes' shape is not that of N subjects with F frames.
    """
    meshes = _array(meshes, 4)
    here = jnp.ones(meshes.shape[:2]) if present is None else jnp.asarray(present, jnp.float32)
    return _solve(problem, meshes, here)


def frames(problem: Problem, meshes: Float[Array, "F V 3"], shape: Float[Array, "S"]) -> Fit:
    """Frames of one subject whose shape is known, each for itself (N is 1); else as `subjects`."""
    meshes = _array(meshes, 3)
    shape = jnp.asarray(shape, jnp.float32)
    known = of_shape(problem, shape)
    found = _solve(known, meshes[:, None], jnp.ones((len(meshes), 1)))
    # N frames of one become one of N
    found = jax.tree.map(lambda value: jnp.swapaxes(value, 0, 1), found)
    return found._replace(shape=shape[None])


def fault(model: FlameModel, vertices: Float[np.ndarray, "V 3"]) -> str:
    """Why a mesh cannot be fitted: one line, or '' if it can.

    Its unit is told by its size: half to twice the template's is metres.
    """
    if vertices.shape != (model.num_vertices, 3):
        return f"it has {len(vertices)} vertices, the head {model.num_vertices}"
    if not np.isfinite(vertices).all():
        return "its vertices hold numbers that are not finite"
    size, usual = _size(vertices), _size(np.asarray(model.v_template))
    if usual / _ALIKE < size < usual * _ALIKE:
        return ""
    for unit, name in ((1e-3, "millimetres"), (1e-2, "centimetres")):
        if usual / _ALIKE < size * unit < usual * _ALIKE:
            return f"its vertices seem to be in {name}, not metres (give the unit {unit:g})"
    return f"it is {size / usual:.3g} times the size of the head"


def _size(vertices: np.ndarray) -> float:
    """Root mean square distance from the middle."""
    return float(np.sqrt(np.var(vertices.astype(np.float64), axis=0).sum()))


def _array(meshes: Array | np.ndarray, axes: int) -> Array:
    if np.ndim(meshes) != axes or np.shape(meshes)[-1] != 3:
        wanted = "[N, F, V, 3]" if axes == 4 else "[F, V, 3]"
        raise ValueError(f"meshes have shape {np.shape(meshes)}, not {wanted}")
    return jnp.asarray(meshes, jnp.float32)


@jax.jit
def _solve(problem: Problem, meshes: Float[Array, "N F V 3"], present: Float[Array, "N F"]) -> Fit:
    count, number = present.shape
    here = present.reshape(-1)
    targets = jnp.swapaxes(meshes.reshape(len(here), -1, 3)[:, problem.kept], 1, 2)
    start = fit_step.begin(problem, targets, here, jnp.zeros((count, problem.num_shape)))
    advance = partial(fit_step.step, problem, targets, here)
    carry, _ = jax.lax.scan(lambda c, _: (advance(c), None), start, length=problem.steps)
    state = carry.state

    def by_subject(value: Array) -> Array:
        return value.reshape(count, number, *value.shape[1:])

    distance = jnp.sqrt(jnp.sum(carry.seen.residual**2, 1))
    c = fit_step.coefficients(state)
    root = problem.root[None] + jnp.matmul(c, problem.root_basis.T, precision="highest")
    # the head turns about its root joint again
    turned = jnp.sum(state.rotation[:, 0] * root[:, None], -1)
    angles = matrix_to_axis_angle(state.rotation)
    return Fit(
        shape=jnp.matmul(state.z, problem.U.T, precision="highest"),
        expression=by_subject(jnp.matmul(state.y, problem.A.T, precision="highest")),
        global_rotation=by_subject(angles[:, 0]),
        neck=by_subject(angles[:, 1]),
        jaw=by_subject(angles[:, 2]),
        eyes=by_subject(angles[:, 3:].reshape(-1, 6)),
        translation=by_subject(state.translation - root + turned),
        mean_residual=by_subject(jnp.mean(distance, 1)),
        max_residual=by_subject(jnp.max(distance, 1)),
    )

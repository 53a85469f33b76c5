"""What all meshes of a head share when coefficients are fitted to them; see `fit` for the maths.

The vertices stand as [3, v]: a loop over them is then one over memory.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax.arrays import Array, Float, Int
from ofer_jax.flame.model import FlameModel

ROOT, MOVED = 0, slice(1, 3)  # joints: the root; neck and jaw, whose place the step follows


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is thought likely before a mesh is seen, and how long to look.

    Attributes:
        noise: scatter of a coordinate about the model, metres; more of it draws the coefficients
            more towards zero.
        neck, jaw, eyes: standard deviations of their rotations, radians.
        steps: of Gauss-Newton.
    """

    noise: float = 3e-4
    neck: float = 0.3
    jaw: float = 0.3
    eyes: float = 0.3
    steps: int = 4

    def __post_init__(self) -> None:
        positive = (self.noise, self.neck, self.jaw, self.eyes, self.steps)
        if not all(np.isfinite(value) and value > 0 for value in positive):
            raise ValueError(f"each setting of a fit has to be above 0: {self}")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Problem:
    """A head, seen at its v vertices with a weight, by z and y; letters as in `fit` (float32)."""

    template: Float[Array, "3 v"]
    joints: Float[Array, "J 3"]  # of the template, the root's at zero
    root: Float[Array, "3"]  # where it really is
    basis: Float[Array, "3v s+e"]
    joint_basis: Float[Array, "3J s+e"]
    root_basis: Float[Array, "3 s+e"]
    shifted_basis: Float[Array, "J J 3 s+e"]  # sum_i w_i lbs_ki lbs_ji B_i, of joints k and j
    posedirs: Float[Array, "3v P"]
    lbs_weights: Float[Array, "J v"]
    weights: Float[Array, "v"]
    kept: Int[Array, "v"]  # their numbers
    A: Float[Array, "E e"]
    U: Float[Array, "S s"]
    C: Float[Array, "e s"]
    D: Float[Array, "s"]
    expression_prior: Float[Array, "e"]  # n^2 A^T A, a diagonal matrix
    pose_prior: Float[Array, "J"]  # n^2 / d^2
    variance: Float[Array, ""]  # n^2
    stiffness: Float[Array, ""]  # k
    parents: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    steps: int = dataclasses.field(metadata={"static": True})

    @property
    def num_shape(self) -> int:
        """s."""
        return self.U.shape[1]


def prepare(
    model: FlameModel, kept: np.ndarray, weights: np.ndarray, settings: Settings
) -> Problem:
    """The change of variables, in float64.

    Args:
        model: the head.
        kept: numbers of the vertices to look at [v].
        weights: theirs [v], of mean 1.
        settings: priors and steps.
    """
    regressor = np.asarray(model.J_regressor, np.float64)
    stiffness, variance = float(len(kept)), settings.noise**2

    def parts(values: Array) -> tuple[np.ndarray, np.ndarray]:
        """Of [V, 3, n]: the kept vertices' [3, v, n] and the joints' [J, 3, n]."""
        all_ = np.asarray(values, np.float64)
        joints = np.tensordot(regressor, all_, 1)
        return np.moveaxis(all_[kept], 1, 0), joints

    def gram(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        seen = _flat(a[0] * weights[:, None]).T @ _flat(b[0])
        return seen + stiffness * _flat(a[1][MOVED]).T @ _flat(b[1][MOVED])

    template, joints = parts(model.v_template[..., None])
    shape, expression = parts(model.shapedirs), parts(model.exprdirs)
    values, vectors = np.linalg.eigh(gram(expression, expression))
    curvature = np.maximum(values, 0) + variance
    A = vectors / np.sqrt(curvature)
    y_basis = (expression[0] @ A, expression[1] @ A)
    C = gram(y_basis, shape)
    D, U = np.linalg.eigh(gram(shape, shape) - C.T @ C)
    basis = np.concatenate([shape[0] @ U, y_basis[0]], -1)
    joint_basis = np.concatenate([shape[1] @ U, y_basis[1]], -1)
    lbs = np.asarray(model.lbs_weights, np.float64)[kept]
    shares = (weights[:, None, None] * lbs[:, :, None] * lbs[:, None]).reshape(len(kept), -1)
    shifted = np.einsum("iq,cis->qcs", shares, basis, optimize=True)
    likely = [np.inf, settings.neck, settings.jaw, settings.eyes, settings.eyes]
    free = np.arange(len(joints)) != ROOT
    arrays = {
        "template": template[..., 0],
        "joints": joints[..., 0] * free[:, None],
        "root": joints[ROOT, :, 0],
        "basis": _flat(basis),
        "joint_basis": _flat(joint_basis * free[:, None, None]),
        "root_basis": joint_basis[ROOT],
        "shifted_basis": shifted.reshape(len(joints), len(joints), *shifted.shape[1:]),
        "posedirs": _flat(parts(model.posedirs)[0]),
        "lbs_weights": lbs.T,
        "weights": weights,
        "A": A,
        "U": U,
        "C": C @ U,
        "D": np.maximum(D, 0),
        "expression_prior": variance / curvature,
        "pose_prior": variance / np.square(likely),
        "variance": variance,
        "stiffness": stiffness,
    }
    on_device = {name: jnp.asarray(np.float32(value)) for name, value in arrays.items()}
    on_device["kept"] = jnp.asarray(np.int32(kept))
    return Problem(**on_device, parents=model.parents, steps=settings.steps)


@jax.jit
def of_shape(problem: Problem, shape: Float[Array, "S"]) -> Problem:
    """The same for a person whose shape is known: the problem without z."""
    s, z = problem.num_shape, jnp.matmul(shape, problem.U, precision="highest")

    def offset(basis: Array) -> Array:
        return jnp.matmul(basis[:, :s], z, precision="highest")

    return dataclasses.replace(
        problem,
        template=problem.template + offset(problem.basis).reshape(3, -1),
        joints=problem.joints + offset(problem.joint_basis).reshape(-1, 3),
        root=problem.root + offset(problem.root_basis),
        basis=problem.basis[:, s:],
        joint_basis=problem.joint_basis[:, s:],
        root_basis=problem.root_basis[:, s:],
        shifted_basis=problem.shifted_basis[..., s:],
        U=problem.U[:, :0],
        C=problem.C[:, :0],
        D=problem.D[:0],
    )


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1])

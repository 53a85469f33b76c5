"""One step of the fit, for N subjects with F frames each (n = N F in a row); see `fit`."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve, solve_triangular

from ofer_jax.arrays import Array, Float
from ofer_jax.flame.fit_problem import MOVED, Problem
from ofer_jax.flame.lbs import chain
from ofer_jax.flame.rotations import matrix_to_axis_angle, rodrigues

_FIRST_DAMPING, _DOWN, _UP = 1e-5, 0.1, 30.0
# K of rodrigues for each axis: how a rotation starts.
_GENERATORS = np.array(
    [[[0, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
     [[0, -1, 0], [1, 0, 0], [0, 0, 0]]], np.float32
)  # fmt: skip
_matmul = partial(jnp.matmul, precision="highest")
_einsum = partial(jnp.einsum, precision="highest")


class State(NamedTuple):
    """What is sought: z of each subject; y, rotations and translation of each frame.

    The translation is that of a head that turns about the origin, not about its root joint: so the
    root's place, which depends on z and y, is no part of the problem.
    """

    z: Float[Array, "N s"]
    y: Float[Array, "n e"]
    rotation: Float[Array, "n J 3 3"]
    translation: Float[Array, "n 3"]


class Seen(NamedTuple):
    """A state from outside: rest pose, what is left of the targets, and E of each subject."""

    rest: Float[Array, "n 3 v"]
    joints: Float[Array, "n J 3"]
    residual: Float[Array, "n 3 v"]
    energy: Float[Array, "N"]


class Carry(NamedTuple):
    """From step to step."""

    state: State
    seen: Seen
    damping: Float[Array, "N"]


class _Posed(NamedTuple):
    points: Float[Array, "3 v"]  # with the pose's correctives, before skinning
    motion: Float[Array, "3 4 v"]  # of each vertex, blended
    turn: Float[Array, "J 3 3"]
    shift: Float[Array, "J 3"]
    vertices: Float[Array, "3 v"]


class _Normal(NamedTuple):
    """Normal equations of each frame: pose by pose, pose by coefficients, and minus gradients."""

    H: Float[Array, "n q q"]
    G: Float[Array, "n q s+e"]
    g_pose: Float[Array, "n q"]
    g: Float[Array, "n s+e"]


def begin(
    problem: Problem,
    targets: Float[Array, "n 3 v"],
    present: Float[Array, "n"],
    z: Float[Array, "N s"],
) -> Carry:
    """The template of each subject, laid rigidly onto its targets (Kabsch 1976)."""
    source, share = problem.template, problem.weights / jnp.sum(problem.weights)
    middle, centre = _einsum("cv,v->c", source, share), _einsum("ncv,v->nc", targets, share)
    cross = _einsum("nav,bv->nab", targets, share[None] * (source - middle[:, None]))
    left, _, right = jnp.linalg.svd(cross)
    mirrored = jnp.linalg.det(_matmul(left, right)) < 0
    left = left.at[..., 2].multiply(jnp.where(mirrored, -1.0, 1.0)[:, None])
    root = _matmul(left, right)
    n, joints = len(targets), len(problem.joints)
    rest = jnp.broadcast_to(jnp.eye(3), (n, joints - 1, 3, 3))
    state = State(
        z=z,
        y=jnp.zeros((n, problem.A.shape[1])),
        rotation=jnp.concatenate([root[:, None], rest], 1),
        translation=centre - _einsum("nab,b->na", root, middle),
    )
    damping = jnp.full(len(z), _FIRST_DAMPING)
    return Carry(state, _look(problem, state, targets, present), damping)


def step(
    problem: Problem,
    targets: Float[Array, "n 3 v"],
    present: Float[Array, "n"],
    carry: Carry,
) -> Carry:
    """One damped step; a subject whose energy would not fall stays where it is.

    Args:
      problem: see `fit_problem`.
      targets: vertices, metres.
      present: 1 or, for a frame that only fills its row, 0.
      carry: of the step before.
    """
    state, seen, damping = carry
    normal = _normal(problem, state, seen, present)
    moved = _solve(problem, state, normal, damping, present)
    ahead = _look(problem, moved, targets, present)
    better = ahead.energy < seen.energy  # never, where it is not a number

    def choose(new: Array, old: Array) -> Array:
        chosen = better if len(new) == len(better) else jnp.repeat(better, len(new) // len(better))
        return jnp.where(chosen.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    state, seen = jax.tree.map(choose, (moved, ahead), (state, seen))
    return Carry(state, seen, damping * jnp.where(better, _DOWN, _UP))


def _look(
    problem: Problem, state: State, targets: Float[Array, "n 3 v"], present: Float[Array, "n"]
) -> Seen:
    rest, joints = points(problem, state)
    posed = jax.vmap(partial(_pose, problem))(rest, joints, state.rotation, state.translation)
    residual = targets - posed.vertices
    angles = matrix_to_axis_angle(state.rotation)
    of_frame = (
        _einsum("ncv,ncv,v->n", residual, residual, problem.weights)
        + _matmul(state.y**2, problem.expression_prior)
        + _einsum("nja,j->n", angles**2, problem.pose_prior)
    )
    of_subject = jnp.sum((present * of_frame).reshape(len(state.z), -1), 1)
    return Seen(rest, joints, residual, of_subject + problem.variance * jnp.sum(state.z**2, 1))


def points(problem: Problem, state: State) -> tuple[Float[Array, "n 3 v"], Float[Array, "n J 3"]]:
    """Vertices and joints in the rest pose, metres, the root joint at zero."""
    c = coefficients(state)
    vertices = _matmul(c, problem.basis.T).reshape(len(c), 3, -1)
    joints = _matmul(c, problem.joint_basis.T).reshape(len(c), -1, 3)
    return problem.template[None] + vertices, problem.joints[None] + joints


def coefficients(state: State) -> Float[Array, "n s+e"]:
    """z and y of each frame."""
    frames = len(state.y) // len(state.z)
    return jnp.concatenate([jnp.repeat(state.z, frames, 0), state.y], 1)


def _pose(
    problem: Problem,
    rest: Float[Array, "3 v"],
    joints: Float[Array, "J 3"],
    rotation: Float[Array, "J 3 3"],
    translation: Float[Array, "3"],
) -> _Posed:
    """As `lbs`, and the translation."""
    bend = (rotation[1:] - jnp.eye(3)[None]).reshape(-1)
    moved = rest + _matmul(problem.posedirs, bend).reshape(rest.shape)
    turn, shift = (each[0] for each in chain(problem.parents, rotation[None], joints[None]))
    rigid = jnp.concatenate([turn, shift[..., None]], -1)
    motion = _einsum("jrc,jv->rcv", rigid, problem.lbs_weights)
    vertices = _apply(motion[:, :3], moved) + motion[:, 3] + translation[:, None]
    return _Posed(moved, motion, turn, shift, vertices)


def _apply(matrix: Float[Array, "3 3 v"], vectors: Float[Array, "*k 3 v"]) -> Array:
    """Each vertex's matrix times its vectors; a sum over an axis of 3 takes XLA 40 times longer."""
    flat = vectors.reshape(-1, *vectors.shape[-2:])
    x, y, z = (flat[:, c] for c in range(3))
    rows = [r[None, 0] * x + r[None, 1] * y + r[None, 2] * z for r in matrix]
    return jnp.stack(rows, 1).reshape(vectors.shape)


def _turns(
    problem: Problem, posed: _Posed, joints: Float[Array, "J 3"], rotation: Float[Array, "J 3 3"]
) -> Float[Array, "15 3 v"]:
    """How the vertices move when each joint begins to turn about each of its own axes.

    What hangs on the joint turns about where it now is; the correctives follow its rotation.
    """
    below = _below(problem.parents)
    moved = _matmul(posed.turn, posed.points) + posed.shift[..., None]
    moved = _einsum("jk,kv,kcv->jcv", below, problem.lbs_weights, moved)
    share = _matmul(below, problem.lbs_weights)
    centre = jnp.sum(posed.turn * joints[:, None], -1) + posed.shift
    arm = moved - share[:, None] * centre[..., None]
    axes = jnp.swapaxes(posed.turn, 1, 2)  # [J, axis, 3], as they now stand
    turned = jnp.cross(axes[..., None], arm[:, None], axis=2)  # [J, axis, 3, v]
    begins = _matmul(rotation[1:, None], _GENERATORS).reshape(len(below) - 1, 3, 9)
    posedirs = problem.posedirs.reshape(-1, len(below) - 1, 9)
    bend = _einsum("xjk,jak->jax", posedirs, begins).reshape(turned[1:].shape)
    bend = _apply(posed.motion[:, :3], bend)
    return turned.at[1:].add(bend).reshape(-1, *arm.shape[1:])


def _below(parents: tuple[int, ...]) -> Float[np.ndarray, "J J"]:
    """1 where joint k is j or hangs on it."""
    out = np.eye(len(parents), dtype=np.float32)
    for joint in range(len(parents) - 1, 0, -1):
        out[parents[joint]] += out[joint]
    return out


def _columns(
    problem: Problem,
    rest: Float[Array, "3 v"],
    joints: Float[Array, "J 3"],
    rotation: Float[Array, "J 3 3"],
    translation: Float[Array, "3"],
    residual: Float[Array, "3 v"],
) -> tuple[Array, Array, Array, Array]:
    """Of one frame: H beside the pose's gradient [q, q+1]; the turns' columns of the Jacobian and
    the residual pulled back to the rest pose [16, 3, v]; the other columns' rows of G [q-15, s+e],
    which need no vertices; the residual pulled back to the joints [J, 3]."""
    posed = _pose(problem, rest, joints, rotation, translation)
    turns = _turns(problem, posed, joints, rotation)
    shifts = jnp.broadcast_to(jnp.eye(3)[..., None], (3, *residual.shape))

    def shift(places: Array) -> Array:
        return chain(problem.parents, rotation[None], places[None])[1][0]

    places = jnp.moveaxis(jax.jacfwd(shift)(joints), (0, 1), (3, 2))  # [J, 3, coordinate, moved J]
    moves = _matmul(places[MOVED], problem.lbs_weights).reshape(-1, *residual.shape)
    jacobian = jnp.concatenate([turns, shifts, moves])
    weighted = problem.weights[None, None] * jnp.concatenate([jacobian, residual[None]])
    H = _einsum("acv,bcv->ab", jacobian, weighted)
    seen = jnp.concatenate([weighted[: len(turns)], weighted[-1:]])
    pulled = _apply(jnp.swapaxes(posed.motion[:, :3], 0, 1), seen)
    # A shift of all moves each vertex alike, one of joint k by its weight there: so the sum over
    # the vertices was taken beforehand.
    turned = _einsum("jcd,kjds->kcs", posed.turn, problem.shifted_basis)
    of_moves = _einsum("lack,kcs->las", places[MOVED], turned)
    fixed = jnp.concatenate([jnp.sum(turned, 0), of_moves.reshape(-1, turned.shape[-1])])
    pull = _matmul(weighted[-1], problem.lbs_weights.T)  # on each joint's shift
    on_joints = _einsum("jalk,lk->ja", places, pull)
    return H, pulled, fixed, on_joints


def _normal(problem: Problem, state: State, seen: Seen, present: Float[Array, "n"]) -> _Normal:
    H, pulled, fixed, on_joints = jax.vmap(partial(_columns, problem))(
        seen.rest, seen.joints, state.rotation, state.translation, seen.residual
    )
    n, columns = len(H), H.shape[1]
    G = _matmul(pulled.reshape(-1, len(problem.basis)), problem.basis)
    G = G.reshape(*pulled.shape[:2], -1)
    g = G[:, -1] + _matmul(on_joints.reshape(n, -1), problem.joint_basis)
    first, last = 3 * MOVED.start, 3 * MOVED.stop
    held = problem.stiffness * problem.joint_basis[first:last]
    moved = columns - len(held)  # from there on the columns are the joints' moves
    G = jnp.concatenate([G[:, :-1], fixed], 1).at[:, moved:].add(-held[None])
    angles = matrix_to_axis_angle(state.rotation).reshape(n, -1)
    prior = jnp.repeat(problem.pose_prior, 3)
    turns = len(prior)
    g_pose = H[:, :, -1].at[:, moved:].set(0.0).at[:, :turns].add(-prior[None] * angles)
    diagonal = jnp.zeros(columns).at[:turns].set(prior).at[moved:].set(problem.stiffness)
    here = present[:, None]
    return _Normal(
        H[:, :, :-1] + jnp.diag(diagonal)[None],
        G * here[..., None],
        g_pose * here,
        g * here,
    )


def _solve(
    problem: Problem,
    state: State,
    normal: _Normal,
    damping: Float[Array, "N"],
    present: Float[Array, "n"],
) -> State:
    """The state after the step that solves the system of `fit`."""
    subjects, s = state.z.shape
    n = len(state.y)
    X = normal.G[..., s:]  # [n, q, e]
    g_y = normal.g[:, s:] - present[:, None] * problem.expression_prior[None] * state.y
    # P, scaled to a unit diagonal: metres and radians, eyes and whole heads stand side by side
    size = jnp.diagonal(normal.H, axis1=1, axis2=2)
    scale = jnp.sqrt(size)
    damped = jnp.repeat(damping, n // subjects)[:, None] * size
    P = normal.H + damped[..., None] * jnp.eye(size.shape[1])[None] - _einsum("nae,nbe->nab", X, X)
    L = jnp.linalg.cholesky(P / (scale[:, :, None] * scale[:, None, :]))

    def whiten(b: Array) -> Array:
        return solve_triangular(L, b / scale[..., None], lower=True)

    left = whiten((normal.g_pose - _einsum("nae,ne->na", X, g_y))[..., None])
    z = state.z
    if s:
        Y = whiten(normal.G[..., :s] - _einsum("nae,es->nas", X, problem.C))
        g_z = normal.g[:, :s] - _matmul(g_y, problem.C) - _einsum("nas,nak->ns", Y, left)
        Y, g_z = Y.reshape(subjects, -1, s), g_z.reshape(subjects, -1, s).sum(1)
        frames = present.reshape(subjects, -1).sum(1)
        own = frames[:, None] * problem.D[None] + problem.variance
        dz = _shared(own, Y, g_z - problem.variance * z)
        z, everywhere = z + dz, jnp.repeat(dz, n // subjects, 0)
        left -= _einsum("nas,ns->na", Y.reshape(n, -1, s), everywhere)[..., None]
        g_y -= _matmul(everywhere, problem.C.T)
    d_pose = solve_triangular(L, left, lower=True, trans=1)[..., 0] / scale
    turns = 3 * len(problem.parents)
    turn = rodrigues(d_pose[:, :turns].reshape(n, -1, 3))
    return State(
        z=z,
        y=state.y + g_y - _einsum("nae,na->ne", X, d_pose),
        rotation=_matmul(state.rotation, turn),
        translation=state.translation + d_pose[:, turns : turns + 3],
    )


def _shared(
    own: Float[Array, "N s"], Y: Float[Array, "N a s"], g: Float[Array, "N s"]
) -> Float[Array, "N s"]:
    """Solves (diag(own) - Y^T Y) dz = g."""
    root = jnp.sqrt(own)
    Y = Y / root[:, None]
    M = jnp.eye(own.shape[1])[None] - _einsum("nas,nat->nst", Y, Y)
    return cho_solve((jnp.linalg.cholesky(M), True), (g / root)[..., None])[..., 0] / root

"""Samplers: from noise to data with a network that predicts the clean value, in one `lax.scan`.

A `Solver` is a table of numbers: over its N steps, the step of the schedule that it visits and what
x, the predicted x0 of this and earlier steps, and fresh noise z are multiplied by,

    x'  = from_x x + from_x0[0] x0 + from_x0[1] x0_prev + ... + from_z z,

and the x of the last step is the sample. All that follow are such tables; `sample` runs them.

DDPM walks down all T steps of q's posterior (Ho et al. 2020, algorithm 2):

    x_{t-1} = (xt - beta_t / s_t eps) / sqrt(alpha_t) + sqrt(posterior_variance_t) z

DDM writes the same mean as the posterior's, of x0 and xt; the two differ by the rounding of the
tables alone.

DDIM visits N of them, t_0 = T - 1 > ... > t_{N-1} = 0 (Song et al. 2021, eq. 12 and 16), with
abar and abar' at a step and at the next one (abar' = 1 after the last):

    sigma = eta sqrt((1 - abar') / (1 - abar)) sqrt(1 - abar / abar')
    x'    = sqrt(abar') x0 + sqrt(1 - abar' - sigma^2) eps + sigma z

With N = T and eta = 1 it is DDPM. `official_ddim` is what the published program runs under that
name, kept to the letter for comparison: it is wrong.

DPM is second order, so it needs fewer steps: SDE-DPM-Solver++(2M) (Lu et al. 2022, "DPM-Solver++",
section 5). With lambda = log(sqrt(abar) / sqrt(1 - abar)), h and h_prev this step's and the last
one's growth of lambda, and the steps evenly spread over lambda:

    D    = x0 + h / (2 h_prev) (x0 - x0_prev)
    x'   = sigma'/sigma e^-h x + alpha' (1 - e^-2h) D + sigma' sqrt(1 - e^-2h) z

DPM3 is third order, for the fewest steps: D is the exact mean, under the weights that the step
gives, of the parabola through the last three x0 over lambda (Xue et al. 2023, "SA-Solver", the
predictor of three steps with all of DDPM's noise). A fifth of the steps is spread evenly over t,
which favours high noise, where a learnt network's x0 moves most; see docs/sampling.md.

Noise number 0 is the start, number i + 1 the z of step i. The
noise of an example depends on its key only, not on its batch mates or the number of devices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax.arrays import Array, Float, Int, Key
from ofer_jax.diffusion.schedule import Schedule

PredictX0 = Callable[[Float[Array, "B *D"], Int[Array, ""]], Float[Array, "B *D"]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Solver:
    """A sampler's tables over its N steps; H is how many predictions of x0 it looks at."""

    times: Int[Array, "N"]  # the schedule's step, T - 1 the noisiest
    from_x: Float[Array, "N"]
    from_x0: Float[Array, "N H"]  # this step's first
    from_z: Float[Array, "N"]
    draws: bool = dataclasses.field(metadata={"static": True})  # False: from_z is all zero

    @property
    def num_steps(self) -> int:
        """N, the number of network evaluations."""
        return self.times.shape[0]


def sample(
    solver: Solver,
    predict_x0: PredictX0,
    key: Key[Array, "*B"],
    shape: tuple[int, ...],
    *,
    noise: Float[Array, "N B *D"] | None = None,
    temperature: float = 1.0,
) -> Float[Array, "B *D"]:
    """Draws x0 of `shape` [B, *D] in the solver's steps.

    Args:
      solver: made by one of the functions below.
      predict_x0: gets x and the number of the solver's step, int32 0 .. N - 1; the step of the
        schedule is `solver.times` of it.
      key: one typed key, from which each example derives its own by its number in the batch, or a
        key for each example [B].
      shape: of the result.
      noise: [N, B, *D] takes the place of the drawn noise: the start, then the z of all steps but
        the last, which has none; of a solver that draws none, the start alone [1, B, *D].
      temperature: what all noise is multiplied by. Where the answer is Gaussian, x0 is linear in
        the noise, so that the draws spread by this factor about the same mean.
    """
    source = _noise_source(key, shape, solver.num_steps if solver.draws else 1, noise)

    def draw(number: Array | int) -> Float[Array, "B *D"]:
        return source(number) if temperature == 1 else temperature * source(number)

    start = draw(0)

    def step(carry: tuple[Array, list[Array]], i: Array) -> tuple[tuple[Array, list[Array]], None]:
        x, past = carry
        seen = [predict_x0(x, i).astype(x.dtype), *past]
        new = solver.from_x[i] * x
        for weight, x0 in zip(solver.from_x0[i], seen, strict=True):
            new = new + weight * x0
        if solver.draws:
            new = new + solver.from_z[i] * draw(i + 1)
        return (new.astype(x.dtype), seen[:-1]), None

    past = [jnp.zeros_like(start)] * (solver.from_x0.shape[1] - 1)
    return jax.lax.scan(step, (start, past), jnp.arange(solver.num_steps))[0][0]


def _noise_source(
    key: Key[Array, "*B"], shape: tuple[int, ...], count: int, noise: Array | None
) -> Callable[[Array | int], Float[Array, "B *D"]]:
    """A function from the noise's number, 0 .. count, to the noise; number `count` is unused."""
    if noise is not None:
        if noise.shape != (count, *shape):
            raise ValueError(f"noise must be {(count, *shape)}; its shape is {noise.shape}")
        given = jnp.concatenate([noise, jnp.zeros_like(noise[:1])])
        return lambda number: given[number]
    if key.shape not in ((), shape[:1]):
        raise ValueError(f"key must be one key or {shape[0]} of them; its shape is {key.shape}")
    keys = key if key.ndim else jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(shape[0]))

    def draw(number: Array | int) -> Float[Array, "B *D"]:
        one = jax.vmap(lambda k: jax.random.normal(jax.random.fold_in(k, number), shape[1:]))
        return one(keys)

    return draw


# ---------------------------------------------------------------- all steps of the schedule


def ddpm(schedule: Schedule) -> Solver:
    """All T steps, the mean as the published program writes it."""
    betas, rest = _wide(schedule.betas), _wide(schedule.sqrt_one_minus_alpha_bar) ** 2
    shrink = np.sqrt(1 - betas)
    from_x = (1 - betas / rest) / shrink
    from_x0 = betas / rest * _wide(schedule.sqrt_alpha_bar) / shrink
    return _ancestral(schedule, from_x, from_x0)


def ddm(schedule: Schedule) -> Solver:
    """`ddpm` with the mean in the posterior's form."""
    return _ancestral(
        schedule, _wide(schedule.posterior_mean_xt), _wide(schedule.posterior_mean_x0)
    )


def _ancestral(schedule: Schedule, from_x: np.ndarray, from_x0: np.ndarray) -> Solver:
    """All T steps, each from the posterior of that mean; the tables as the schedule's, step 0
    first."""
    from_z = np.sqrt(_wide(schedule.posterior_variance))
    times = np.arange(schedule.num_steps)[::-1]
    return _solver(schedule, times, from_x[::-1], [from_x0[::-1]], from_z[::-1])


# ---------------------------------------------------------------- some of them


def ddim(schedule: Schedule, *, steps: int = 50, eta: float = 1.0) -> Solver:
    """`steps` steps of first order.

    `eta` 0 is deterministic from the start noise on and settles some percent too wide on learnt
    networks; 1 has DDPM's noise. Raises ValueError unless 1 <= steps <= T and 0 <= eta <= 1.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in 0..1; got {eta}")
    times = ddim_times(schedule.num_steps, steps)
    bar, rest = _levels(schedule, times)
    # Differences of alpha_bar are taken on 1 - alpha_bar, which keeps its digits near step 0.
    variance = eta**2 * (rest[1:] / rest[:-1]) * (rest[:-1] - rest[1:]) / bar[1:]
    from_eps = np.sqrt(np.maximum(rest[1:] - variance, 0.0))
    from_x = from_eps / np.sqrt(rest[:-1])
    from_x0 = np.sqrt(bar[1:]) - from_x * np.sqrt(bar[:-1])
    return _solver(schedule, times, from_x, [from_x0], np.sqrt(variance))


def ddim_times(num_steps: int, steps: int) -> np.ndarray:
    """The steps that DDIM visits, int32 [steps]: evenly spread from num_steps - 1 down to 0."""
    if not 1 <= steps <= num_steps:
        raise ValueError(f"steps must lie in 1..{num_steps}; got {steps}")
    return np.round(np.linspace(num_steps - 1, 0, steps)).astype(np.int32)


def official_ddim(schedule: Schedule) -> Solver:
    """The published program's "DDIM", with its faults.

    It visits t = T - 1, T - 5, ..., 3, -1 without noise, and each step's target is the level of
    t - 1, not that of the next step t - 4: x keeps more noise than the network is then told. The
    last step, t = -1, reads the tables' last row, as if x were pure noise. An exact denoiser of
    1.00 +- 0.30 gives 0.40 +- 0.74. Raises ValueError unless T is a multiple of 4.
    """
    count = schedule.num_steps
    if count % 4:
        raise ValueError(f"official_ddim needs a number of steps divisible by 4; got {count}")
    times = np.arange(count - 1, -2, -4)
    a, s = _wide(schedule.sqrt_alpha_bar), _wide(schedule.sqrt_one_minus_alpha_bar)
    from_x = s[times - 1] / s[times]
    from_x0 = a[times - 1] - from_x * a[times]
    return _solver(schedule, times, from_x, [from_x0], np.zeros(len(times)))


def dpm(schedule: Schedule, *, steps: int = 30) -> Solver:
    """`steps` steps of second order.

    From an exact Gaussian denoiser, 30 steps give the standard deviation to 2 %, at which `ddim`
    with eta 1 takes several hundred. Raises ValueError unless 1 <= steps <= T.
    """
    times = dpm_times(schedule, steps)
    h, from_x, from_d, from_z = _towards_d(schedule, times)
    ahead = np.zeros(steps)
    ahead[1:-1] = 0.5 * h[1:] / h[:-1]
    return _solver(schedule, times, from_x, [from_d * (1 + ahead), -from_d * ahead], from_z)


def dpm3(schedule: Schedule, *, steps: int = 20) -> Solver:
    """`steps` steps of third order.

    From an exact Gaussian denoiser, 20 steps give a standard deviation of 0.2 or more to 1 %, and
    25 one of 0.05 or more; below 15 it is no longer sound, and `dpm` is the better one. Raises
    ValueError unless 1 <= steps <= T.
    """
    times = dpm_times(schedule, steps, over_t=0.2)
    h, from_x, from_d, from_z = _towards_d(schedule, times)
    weights = np.zeros((3, steps))
    weights[0] = 1.0
    for i in range(1, steps - 1):
        weights[:, i] = _extrapolation(h[i], h[i - 1], h[i - 2] if i > 1 else np.inf)
    return _solver(schedule, times, from_x, list(from_d * weights), from_z)


def _extrapolation(h: float, h_prev: float, h_before: float) -> list[float]:
    """Weights of the last three x0 in D, for steps of these lengths; with h_before infinite, of the
    line through the last two.

    Moments of u, lambda from the step's start, under 2 e^(-2 (h - u)) / (1 - e^(-2 h)), of the
    polynomials that are 1 at one of the nodes 0, -a, -b and 0 at the others.
    """
    gain = -np.expm1(-2 * h)
    first = h / gain - 0.5
    if np.isinf(h_before):
        return [1 + first / h_prev, -first / h_prev, 0.0]
    second, a, b = h * h / gain - first, h_prev, h_prev + h_before
    return [
        1 + ((a + b) * first + second) / (a * b),
        -(b * first + second) / (a * (b - a)),
        (a * first + second) / (b * (b - a)),
    ]


def dpm_times(schedule: Schedule, steps: int, over_t: float = 0.0) -> np.ndarray:
    """The steps that `dpm` visits: T - 1 to 0, evenly spread over lambda but never one twice; a
    share `over_t` of them evenly over t instead."""
    last = schedule.num_steps - 1
    if not 1 <= steps <= last + 1:
        raise ValueError(f"steps must lie in 1..{last + 1}; got {steps}")
    noisy = np.log(_wide(schedule.one_minus_alpha_bar) / _wide(schedule.alpha_bar))  # -2 lambda
    even = np.arange(last + 1.0)
    way = (1 - over_t) * (noisy - noisy[0]) + over_t * (noisy[-1] - noisy[0]) * even / max(last, 1)
    near = np.round(np.interp(np.linspace(way[-1], way[0], steps), way, even)).astype(np.int32)
    left = np.arange(steps)[::-1]  # a step must leave room for those still to come
    distinct = np.maximum.accumulate((near - left)[::-1])[::-1] + left
    return np.minimum(distinct, last - np.arange(steps))


def _towards_d(
    schedule: Schedule, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """h [N - 1] of all steps but the last, and what each multiplies x, D and z by [N]; the last
    returns D."""
    bar, rest = _levels(schedule, times)
    h = 0.5 * np.diff(np.log(bar[:-1] / rest[:-1]))
    gain = np.append(-np.expm1(-2 * h), 1.0)
    from_x = rest[1:] / rest[:-1] * np.sqrt(bar[:-1] / bar[1:])
    return h, from_x, np.sqrt(bar[1:]) * gain, np.sqrt(rest[1:] * gain)


def _levels(schedule: Schedule, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """alpha_bar and 1 - alpha_bar [N + 1] at the steps, and 1 and 0 after the last."""
    bar, rest = _wide(schedule.alpha_bar)[times], _wide(schedule.one_minus_alpha_bar)[times]
    return np.append(bar, 1.0), np.append(rest, 0.0)


def _wide(table: Float[Array, "T"]) -> np.ndarray:
    return np.asarray(table, np.float64)


def _solver(
    schedule: Schedule,
    times: np.ndarray,
    from_x: np.ndarray,
    from_x0: Sequence[np.ndarray],
    from_z: np.ndarray,
) -> Solver:
    """The tables in the schedule's precision, computed in float64."""
    dtype = schedule.betas.dtype
    return Solver(
        jnp.asarray(times.astype(np.int32)),
        jnp.asarray(from_x.astype(dtype)),
        jnp.asarray(np.stack(from_x0, axis=1).astype(dtype)),
        jnp.asarray(from_z.astype(dtype)),
        draws=bool(from_z.any()),
    )

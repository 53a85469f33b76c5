"""Samplers: from noise to data with a network that predicts the noise; one `lax.scan` each.

DDPM walks down all T steps of q's posterior (Ho et al. 2020, algorithm 2):

    x_{t-1} = (xt - beta_t / s_t eps) / sqrt(alpha_t) + sqrt(posterior_variance_t) z

DDM writes the same mean as the posterior's, of x0(xt, eps) and xt; the two differ by the rounding
of the tables alone.

DDIM visits N of them, t_0 = T - 1 > ... > t_{N-1} = 0 (Song et al. 2021, eq. 12 and 16), with
abar and abar' at a step and at the next one (abar' = 1 after the last):

    sigma = eta sqrt((1 - abar') / (1 - abar)) sqrt(1 - abar / abar')
    x'    = sqrt(abar') x0(xt, eps) + sqrt(1 - abar' - sigma^2) eps + sigma z

With N = T and eta = 1 it is DDPM. `official_ddim` is what the published program runs under that
name, kept to the letter for comparison: it is wrong.

DPM is second order, so it needs fewer steps: SDE-DPM-Solver++(2M) (Lu et al. 2022, "DPM-Solver++",
section 5). With lambda = log(sqrt(abar) / sqrt(1 - abar)), h and h_prev this step's and the last
one's growth of lambda, and the steps evenly spread over lambda:

    D    = x0 + h / (2 h_prev) (x0 - x0_prev)
    x'   = sigma'/sigma e^-h x + alpha' (1 - e^-2h) D + sigma' sqrt(1 - e^-2h) z

Noise number 0 is the start, number i + 1 the z of step i. The
noise of an example depends on its key only, not on its batch mates or the number of devices.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ofer_jax.arrays import Array, Float, Int, Key
from ofer_jax.diffusion import gaussian
from ofer_jax.diffusion.schedule import Schedule

PredictEps = Callable[[Float[Array, "B *D"], Int[Array, "B"]], Float[Array, "B *D"]]


def ddpm(
    schedule: Schedule,
    predict_eps: PredictEps,
    key: Key[Array, "*B"],
    shape: tuple[int, ...],
    *,
    noise: Float[Array, "T B *D"] | None = None,
) -> Float[Array, "B *D"]:
    """Draws x0 in T steps.

    `predict_eps(xt, t)` gets the steps as int32 [B]. `key` is one typed key, from which each
    example derives its own by its number in the batch, or a key for each example [B]. `noise`
    [T, B, *D] takes the place of the drawn noise: the start, then the z of steps T - 1 to 1.
    """
    from_eps = schedule.betas / schedule.sqrt_one_minus_alpha_bar
    sqrt_alpha = jnp.sqrt(1 - schedule.betas)

    def mean(x: Array, t: Array) -> Array:
        predicted = gaussian.at(from_eps, t, x) * predict_eps(x, t)
        return (x - predicted) / gaussian.at(sqrt_alpha, t, x)

    return _ancestral(schedule, mean, key, shape, noise)


def ddm(
    schedule: Schedule,
    predict_eps: PredictEps,
    key: Key[Array, "*B"],
    shape: tuple[int, ...],
    *,
    noise: Float[Array, "T B *D"] | None = None,
) -> Float[Array, "B *D"]:
    """`ddpm` with the mean in the posterior's form; the same arguments."""

    def mean(x: Array, t: Array) -> Array:
        x0 = gaussian.x0_from_eps(schedule, x, t, predict_eps(x, t))
        return gaussian.posterior_mean(schedule, x0, x, t)

    return _ancestral(schedule, mean, key, shape, noise)


def _ancestral(
    schedule: Schedule,
    mean: Callable[[Array, Array], Array],
    key: Key[Array, "*B"],
    shape: tuple[int, ...],
    noise: Array | None,
) -> Float[Array, "B *D"]:
    """All T steps, each from the posterior of that mean."""
    draw = _noise_source(key, shape, schedule.num_steps, noise)

    def step(x: Array, i: Array) -> tuple[Array, None]:
        t = jnp.full(shape[:1], schedule.num_steps - 1 - i, jnp.int32)
        variance = gaussian.posterior_variance(schedule, t, x)
        return (mean(x, t) + jnp.sqrt(variance) * draw(i + 1)).astype(x.dtype), None

    return jax.lax.scan(step, draw(0), jnp.arange(schedule.num_steps))[0]


def ddim(
    schedule: Schedule,
    predict_eps: PredictEps,
    key: Key[Array, "*B"],
    shape: tuple[int, ...],
    *,
    steps: int = 50,
    eta: float = 1.0,
    noise: Float[Array, "N B *D"] | None = None,
) -> Float[Array, "B *D"]:
    """Draws x0 in `steps` steps; arguments as for `ddpm`, `noise` being [steps, B, *D].

    `eta` 0 is deterministic from the start noise on and settles some percent too wide on learnt
    networks; 1 has DDPM's noise. Raises ValueError unless 1 <= steps <= T and 0 <= eta <= 1.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in 0..1; got {eta}")
    times = jnp.asarray(ddim_times(schedule.num_steps, steps))
    draw = _noise_source(key, shape, steps, noise)
    from_x, from_eps, from_z = _ddim_coefficients(schedule, times, eta)

    def step(x: Array, i: Array) -> tuple[Array, None]:
        eps = predict_eps(x, jnp.full(shape[:1], times[i], jnp.int32))
        x = (from_x[i] * x + from_eps[i] * eps).astype(x.dtype)
        return (x if eta == 0 else x + (from_z[i] * draw(i + 1)).astype(x.dtype)), None

    return jax.lax.scan(step, draw(0), jnp.arange(steps))[0]


def ddim_times(num_steps: int, steps: int) -> np.ndarray:
    """The steps that DDIM visits, int32 [steps]: evenly spread from num_steps - 1 down to 0."""
    if not 1 <= steps <= num_steps:
        raise ValueError(f"steps must lie in 1..{num_steps}; got {steps}")
    return np.round(np.linspace(num_steps - 1, 0, steps)).astype(np.int32)


def official_ddim(
    schedule: Schedule,
    predict_eps: PredictEps,
    key: Key[Array, "*B"],
    shape: tuple[int, ...],
    *,
    noise: Float[Array, "1 B *D"] | None = None,
) -> Float[Array, "B *D"]:
    """The published program's "DDIM", with its faults; arguments as for `ddpm`, only the start is
    drawn.

    It visits t = T - 1, T - 5, ..., 3, -1 without noise, and each step's target is the level of
    t - 1, not that of the next step t - 4: x keeps more noise than the network is then told. The
    last step, t = -1, reads the tables' last row, as if x were pure noise. An exact denoiser of
    1.00 +- 0.30 gives 0.40 +- 0.74. Raises ValueError unless T is a multiple of 4.
    """
    count = schedule.num_steps
    if count % 4:
        raise ValueError(f"official_ddim needs a number of steps divisible by 4; got {count}")
    times = jnp.arange(count - 1, -2, -4, dtype=jnp.int32)
    start = _noise_source(key, shape, 1, noise)(0)

    def step(x: Array, t: Array) -> tuple[Array, None]:
        seen = jnp.full(shape[:1], t, jnp.int32)
        eps = predict_eps(x, seen)
        x0 = gaussian.x0_from_eps(schedule, x, seen, eps)
        return gaussian.q_sample(schedule, x0, seen - 1, eps).astype(x.dtype), None

    return jax.lax.scan(step, start, times)[0]


def dpm(
    schedule: Schedule,
    predict_eps: PredictEps,
    key: Key[Array, "*B"],
    shape: tuple[int, ...],
    *,
    steps: int = 30,
    noise: Float[Array, "N B *D"] | None = None,
) -> Float[Array, "B *D"]:
    """Draws x0 in `steps` steps of second order; arguments as for `ddim`.

    From an exact Gaussian denoiser, 30 steps give the standard deviation to 2 %, at which `ddim`
    with eta 1 takes several hundred. Raises ValueError unless 1 <= steps <= T.
    """
    times = dpm_times(schedule, steps)
    draw = _noise_source(key, shape, steps, noise)
    from_x, from_d, from_z, extrapolate = _dpm_coefficients(schedule, times)

    def step(carry: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
        x, x0_prev = carry
        t = jnp.full(shape[:1], times[i], jnp.int32)
        x0 = gaussian.x0_from_eps(schedule, x, t, predict_eps(x, t)).astype(x.dtype)
        d = x0 + extrapolate[i] * (x0 - x0_prev)
        x = from_x[i] * x + from_d[i] * d + from_z[i] * draw(i + 1)
        return (x.astype(x0.dtype), x0), None

    start = draw(0)
    (x, _), _ = jax.lax.scan(step, (start, jnp.zeros_like(start)), jnp.arange(steps))
    return x


def dpm_times(schedule: Schedule, steps: int) -> Int[Array, "N"]:
    """The steps that `dpm` visits: T - 1 to 0, evenly spread over lambda but never one twice."""
    last = schedule.num_steps - 1
    if not 1 <= steps <= last + 1:
        raise ValueError(f"steps must lie in 1..{last + 1}; got {steps}")
    noisy = jnp.log(schedule.one_minus_alpha_bar / schedule.alpha_bar)  # -2 lambda, growing
    wanted = jnp.linspace(noisy[-1], noisy[0], steps)
    near = jnp.round(jnp.interp(wanted, noisy, jnp.arange(last + 1.0))).astype(jnp.int32)
    ahead = jnp.arange(steps)[::-1]  # a step must leave room for those still to come
    distinct = jax.lax.cummax(near - ahead, reverse=True) + ahead
    return jnp.minimum(distinct, last - jnp.arange(steps))


def _dpm_coefficients(
    schedule: Schedule, times: Int[Array, "N"]
) -> tuple[Float[Array, "N"], Float[Array, "N"], Float[Array, "N"], Float[Array, "N"]]:
    """What each step multiplies x, D, z and x0 - x0_prev by; the last step returns x0."""
    bar, rest = schedule.alpha_bar[times], schedule.one_minus_alpha_bar[times]
    h = 0.5 * jnp.diff(jnp.log(bar / rest))
    gain = -jnp.expm1(-2 * h)
    zero, one = jnp.zeros_like(bar[:1]), jnp.ones_like(bar[:1])
    from_x = jnp.concatenate([rest[1:] / rest[:-1] * jnp.sqrt(bar[:-1] / bar[1:]), zero])
    from_d = jnp.concatenate([jnp.sqrt(bar[1:]) * gain, one])
    from_z = jnp.concatenate([jnp.sqrt(rest[1:] * gain), zero])
    extrapolate = jnp.concatenate([zero, 0.5 * h[1:] / h[:-1], zero])[: len(times)]
    return from_x, from_d, from_z, extrapolate


def _ddim_coefficients(
    schedule: Schedule, times: Int[Array, "N"], eta: float
) -> tuple[Float[Array, "N"], Float[Array, "N"], Float[Array, "N"]]:
    """What each step multiplies x, eps and z by.

    Differences of alpha_bar are taken on 1 - alpha_bar, which keeps its digits near step 0.
    """
    bar, rest = schedule.alpha_bar[times], schedule.one_minus_alpha_bar[times]
    next_bar = jnp.concatenate([bar[1:], jnp.ones_like(bar[:1])])
    next_rest = jnp.concatenate([rest[1:], jnp.zeros_like(rest[:1])])
    variance = eta**2 * (next_rest / rest) * (rest - next_rest) / next_bar
    ratio = jnp.sqrt(next_bar / bar)
    from_eps = jnp.sqrt(jnp.maximum(next_rest - variance, 0.0)) - ratio * jnp.sqrt(rest)
    return ratio, from_eps, jnp.sqrt(variance)


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

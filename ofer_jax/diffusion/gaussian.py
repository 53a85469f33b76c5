"""The Gaussian corruption and the ways to say what a network predicts.

With a = sqrt(alpha_bar_t) and s = sqrt(1 - alpha_bar_t):

    xt  = a x0 + s eps                       (Ho et al. 2020, eq. 4)
    v   = a eps - s x0                       (Salimans & Ho 2022, appendix D)
    x0  = (xt - s eps) / a = a xt - s v      eps = (xt - a x0) / s = s xt + a v

Throughout `t` holds one step of 0 .. T - 1 for each example.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp

from ofer_jax.arrays import Array, Float, Int
from ofer_jax.diffusion.schedule import Schedule

PredictionType = Literal["eps", "v", "x0"]


def q_sample(
    schedule: Schedule, x0: Float[Array, "B *D"], t: Int[Array, "B"], eps: Float[Array, "B *D"]
) -> Float[Array, "B *D"]:
    """x0 noised to step t with the standard normal noise eps."""
    a, s = _scales(schedule, t, x0)
    return a * x0 + s * eps


def x0_from_eps(
    schedule: Schedule, xt: Float[Array, "B *D"], t: Int[Array, "B"], eps: Float[Array, "B *D"]
) -> Float[Array, "B *D"]:
    """The clean value that the noise eps would make xt of."""
    a, s = _scales(schedule, t, xt)
    return (xt - s * eps) / a


def eps_from_x0(
    schedule: Schedule, xt: Float[Array, "B *D"], t: Int[Array, "B"], x0: Float[Array, "B *D"]
) -> Float[Array, "B *D"]:
    """The noise that makes xt of x0."""
    a, s = _scales(schedule, t, xt)
    return (xt - a * x0) / s


def v_from(
    schedule: Schedule, x0: Float[Array, "B *D"], t: Int[Array, "B"], eps: Float[Array, "B *D"]
) -> Float[Array, "B *D"]:
    """The velocity v of x0 and the noise eps."""
    a, s = _scales(schedule, t, x0)
    return a * eps - s * x0


def x0_from_v(
    schedule: Schedule, xt: Float[Array, "B *D"], t: Int[Array, "B"], v: Float[Array, "B *D"]
) -> Float[Array, "B *D"]:
    """The clean value behind xt, from the velocity."""
    a, s = _scales(schedule, t, xt)
    return a * xt - s * v


def eps_from_v(
    schedule: Schedule, xt: Float[Array, "B *D"], t: Int[Array, "B"], v: Float[Array, "B *D"]
) -> Float[Array, "B *D"]:
    """The noise in xt, from the velocity."""
    a, s = _scales(schedule, t, xt)
    return s * xt + a * v


def to_x0(
    schedule: Schedule,
    prediction: Float[Array, "B *D"],
    xt: Float[Array, "B *D"],
    t: Int[Array, "B"],
    prediction_type: PredictionType,
) -> Float[Array, "B *D"]:
    """A network's output, whatever it predicts, as x0. Raises ValueError on another type."""
    if prediction_type == "eps":
        return x0_from_eps(schedule, xt, t, prediction)
    if prediction_type == "v":
        return x0_from_v(schedule, xt, t, prediction)
    if prediction_type == "x0":
        return prediction
    raise ValueError(f"prediction_type must be 'eps', 'v' or 'x0'; got {prediction_type!r}")


def target(
    schedule: Schedule,
    x0: Float[Array, "B *D"],
    t: Int[Array, "B"],
    eps: Float[Array, "B *D"],
    prediction_type: PredictionType,
) -> Float[Array, "B *D"]:
    """What a network of that type is trained towards. Raises ValueError on another type."""
    if prediction_type == "eps":
        return eps
    if prediction_type == "v":
        return v_from(schedule, x0, t, eps)
    if prediction_type == "x0":
        return x0
    raise ValueError(f"prediction_type must be 'eps', 'v' or 'x0'; got {prediction_type!r}")


def posterior_mean(
    schedule: Schedule, x0: Float[Array, "B *D"], xt: Float[Array, "B *D"], t: Int[Array, "B"]
) -> Float[Array, "B *D"]:
    """Mean of q(x_{t-1} | xt, x0) (Ho et al. 2020, eq. 7)."""
    of_x0 = at(schedule.posterior_mean_x0, t, x0)
    return of_x0 * x0 + at(schedule.posterior_mean_xt, t, xt) * xt


def posterior_variance(
    schedule: Schedule, t: Int[Array, "B"], like: Float[Array, "B *D"]
) -> Float[Array, "B *1"]:
    """Variance of q(x_{t-1} | xt, x0), shaped to multiply `like`; 0 at step 0."""
    return at(schedule.posterior_variance, t, like)


def at(
    table: Float[Array, "T"], t: Int[Array, "B"], like: Float[Array, "B *D"]
) -> Float[Array, "B *1"]:
    """The table's value for each example, shaped to multiply `like`."""
    return table[t].reshape(t.shape + (1,) * (like.ndim - t.ndim)).astype(like.dtype)


def _scales(schedule: Schedule, t: Int[Array, "B"], like: Array) -> tuple[Array, Array]:
    t = jnp.asarray(t)
    return at(schedule.sqrt_alpha_bar, t, like), at(schedule.sqrt_one_minus_alpha_bar, t, like)

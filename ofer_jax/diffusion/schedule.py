"""The noise schedule: how much of the signal is left after each of T steps.

    alpha_t = 1 - beta_t,    alpha_bar_t = alpha_0 ... alpha_t
    q(xt | x0) = N(sqrt(alpha_bar_t) x0, (1 - alpha_bar_t) I)

Step 0 is the cleanest. The tables are computed in float64 and rounded once, which matters near
step 0, where 1 - alpha_bar is small. `tables='float32'` gives those of the published program, which
makes the betas, their cumulative product and 1 - alpha_bar in float32: they differ from ours by up
to 2e-4 relative. Ho et al., "Denoising diffusion probabilistic models", 2020.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from ofer_jax.arrays import Array, Float

Tables = Literal["float64", "float32"]

# The buffers of a published checkpoint's `var_sched` that we have: their name to ours.
PUBLISHED = {
    "betas": "betas",
    "alphas_cumprod": "alpha_bar",
    "alphas_cumprod_prev": "alpha_bar_prev",
    "sqrt_alpha_cumprod": "sqrt_alpha_bar",
    "sqrt_one_minus_alpha_cumprod": "sqrt_one_minus_alpha_bar",
    "posterior_mean_coeff1": "posterior_mean_x0",
    "posterior_mean_coeff2": "posterior_mean_xt",
    "posterior_variance": "posterior_variance",
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Schedule:
    """Tables over the steps; index 0 is the cleanest, T - 1 the noisiest.

    The posterior q(x_{t-1} | xt, x0) has mean `posterior_mean_x0` x0 + `posterior_mean_xt` xt and
    variance `posterior_variance`, which is 0 at step 0.
    """

    betas: Float[Array, "T"]
    alpha_bar: Float[Array, "T"]
    alpha_bar_prev: Float[Array, "T"]
    one_minus_alpha_bar: Float[Array, "T"]
    sqrt_alpha_bar: Float[Array, "T"]
    sqrt_one_minus_alpha_bar: Float[Array, "T"]
    posterior_mean_x0: Float[Array, "T"]
    posterior_mean_xt: Float[Array, "T"]
    posterior_variance: Float[Array, "T"]

    @property
    def num_steps(self) -> int:
        """T."""
        return self.betas.shape[0]


def linear(
    T: int = 1000,
    beta_start: float = 1e-4,
    beta_end: float = 1e-2,
    *,
    tables: Tables = "float64",
    dtype: DTypeLike = np.float32,
) -> Schedule:
    """Betas that grow linearly from the first step to the last; the defaults are the paper's.

    `tables` is the precision they are computed in, `dtype` the one they are kept in.

    Raises ValueError unless T >= 1, the betas lie in (0, 1) and `tables` is one of the two.
    """
    if T < 1 or not 0 < beta_start < 1 or not 0 < beta_end < 1:
        raise ValueError(f"need T >= 1 and betas in (0, 1); got {T=}, {beta_start=}, {beta_end=}")
    return from_betas(np.linspace(beta_start, beta_end, T), tables=tables, dtype=dtype)


def from_betas(
    betas: np.ndarray, *, tables: Tables = "float64", dtype: DTypeLike = np.float32
) -> Schedule:
    """A schedule from its betas [T], each in (0, 1); arguments as for `linear`."""
    if tables not in ("float64", "float32"):
        raise ValueError(f"tables must be 'float64' or 'float32'; got {tables!r}")
    betas = np.asarray(betas, tables)
    alpha_bar = np.cumprod(1 - betas, dtype=tables)
    prev = np.concatenate([[1.0], alpha_bar[:-1]])  # float64, and with it all of the posterior
    rest, rest_prev = 1 - alpha_bar, 1 - prev
    made = {
        "betas": betas,
        "alpha_bar": alpha_bar,
        "alpha_bar_prev": prev,
        "one_minus_alpha_bar": rest,
        "sqrt_alpha_bar": np.sqrt(alpha_bar),
        "sqrt_one_minus_alpha_bar": np.sqrt(rest),
        "posterior_mean_x0": np.sqrt(prev) * betas / rest,
        "posterior_mean_xt": np.sqrt(1 - betas) * rest_prev / rest,
        "posterior_variance": betas * rest_prev / rest,
    }
    return Schedule(**{name: jnp.asarray(table.astype(dtype)) for name, table in made.items()})

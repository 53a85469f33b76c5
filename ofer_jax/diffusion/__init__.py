"""Gaussian diffusion: schedule, the maths of its marginals, and samplers. No networks here."""

from ofer_jax.diffusion import gaussian, samplers, schedule
from ofer_jax.diffusion.schedule import Schedule

__all__ = ["Schedule", "gaussian", "samplers", "schedule"]

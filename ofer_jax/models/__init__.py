"""The networks, as Flax Linen modules: the only folder that imports flax."""

from ofer_jax.models.denoiser import Denoiser, sampling_fn
from ofer_jax.models.encoder import FeatureEncoder, MicaRegressor, Regressor
from ofer_jax.models.ranker import Ranker

__all__ = ["Denoiser", "FeatureEncoder", "MicaRegressor", "Ranker", "Regressor", "sampling_fn"]

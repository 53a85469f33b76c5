"""The networks, as Flax Linen modules: the only folder that imports flax."""

from ofer_jax.models.arcface import ArcFace, arcface_input
from ofer_jax.models.denoiser import Denoiser, sampling_fn
from ofer_jax.models.encoder import Estimator, FeatureEncoder, MicaRegressor, Regressor
from ofer_jax.models.ranker import Ranker
from ofer_jax.models.vit import FaRL, farl_input

__all__ = [
    "ArcFace",
    "Denoiser",
    "Estimator",
    "FaRL",
    "FeatureEncoder",
    "MicaRegressor",
    "Ranker",
    "Regressor",
    "arcface_input",
    "farl_input",
    "sampling_fn",
]

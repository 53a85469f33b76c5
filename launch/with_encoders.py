"""Networks that were trained on stored features, with the encoders that made these: they then take
the crops of any photograph."""

from collections.abc import Mapping
from typing import Any

from ofer_jax.encoders import CROPS, Encoder


def whole(
    model: Mapping[str, Any],
    params: Mapping[str, Any],
    projection: str,
    made: Mapping[str, Encoder],
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """A run's model config, params and projection with its encoders in their places; as they are
    for a run that was not trained on stored features of published encoders.

    Args:
      model: config of the task.
      params: of the task.
      projection: of the features that the run was trained on, as its record tells it.
      made: the encoders, by name.

    Raises:
      ValueError: an encoder is not given, or is not the one that made the features.
    """
    names = str(model["features"]["name"]).split("+")
    if model["encoder"]["name"] != "cached" or not set(names) <= set(CROPS):
        return dict(model), dict(params), projection
    if lacking := [name for name in names if name not in made]:
        raise ValueError(
            f"a run was trained on stored features: give the weights that made them, --{lacking[0]}"
        )
    if "+".join(made[name].digest for name in names) != projection:
        flags = " and ".join(f"--{name}" for name in names)
        raise ValueError(f"a run was trained on features of other weights than those of {flags}")
    encoder = {"name": "+".join(names), **made["arcface"].settings}
    if "farl" in names:
        encoder["farl"] = made["farl"].settings
    weights = {name: made[name].variables for name in names}
    crops = {"features": {"name": "crops"}, "encoder": encoder}
    return {**model, **crops}, {**params, "encoder": weights}, ""

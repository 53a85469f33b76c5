"""What the experiments share: the parts of a config that are not the model's."""

from typing import Any

from ml_collections import ConfigDict


def base(task: str) -> ConfigDict:
    """Fields that every config has; lengths and rates are set by the experiment."""
    config = ConfigDict()
    config.task = task
    config.seed = 0
    config.head = "open"  # or the path of a head in our .npz layout
    config.surface = ""  # with another head: an .npz with region_face and region_front
    config.model = ConfigDict()
    config.input = ConfigDict(
        {
            "dir": "data/openhead",
            "batch_size": 256,  # over all devices and processes
            "occluded_share": 0.5,
            "candidates": "",
            "num_candidates": 0,
        }
    )
    config.optim = ConfigDict(
        {
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "warmup_steps": 200,
            "weight_decay": 1e-4,
            "b1": 0.9,
            "b2": 0.99,
            "clip": 1.0,
            "groups": {},  # regex -> factor on the learning rate; 0 freezes
        }
    )
    config.mesh = ConfigDict({"data": -1, "fsdp": 1, "rules": ((".*", "replicate"),)})
    config.ema_decay = 0.999
    config.keep = 2
    config.patience_steps = 0  # stop when no held-out figure got better for so long; 0: never
    return config


def set_lengths(config: ConfigDict, total: int, log: int, evaluate: int, ckpt: int) -> None:
    """Steps in all, and between two log lines, evaluations and checkpoints."""
    config.total_steps, config.log_steps = total, log
    config.eval_steps, config.ckpt_steps = evaluate, ckpt


def diffusion(prediction_type: str, loss: str) -> dict[str, Any]:
    """The diffusion part of a model: the published schedule, and how the network is trained."""
    return {
        "prediction_type": prediction_type,
        "loss": loss,
        "schedule": {"steps": 1000, "beta_start": 1e-4, "beta_end": 1e-2},
        "sampler": {"name": "ddim", "steps": 50, "eta": 1.0},
        "weight_power": 0.0,
        "feature_noise": 0.0,
    }


def variant_error(name: str, known: tuple[str, ...]) -> ValueError:
    return ValueError(f"variant {name!r} is not known; use one of {', '.join(known)}, or none")

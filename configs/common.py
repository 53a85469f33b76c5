"""What the experiments share: the parts of a config that are not its own."""

from typing import Any

from ml_collections import ConfigDict


def base(task: str) -> ConfigDict:
    """Fields that every config has; `set_lengths` or `set_published` add the rest."""
    config = ConfigDict()
    config.task = task
    config.seed = 0
    config.head = "open"  # or the path of your own (--flame)
    config.model = ConfigDict()
    config.input = ConfigDict(
        {
            "dir": "data/openhead",  # or several with weights: "data/a:1,data/b:0.5"
            "batch_size": 256,  # over all devices and processes
            "images_per_subject": 1,  # K: an epoch takes K pictures of every subject
            "occluded_share": 0.5,  # of the examples show a hidden face
            # What hides the pictures of a set of records (data_pipelines/augment.py).
            "augment": {"strength": 1.0, "kinds": ()},
            "workers": 0,  # processes that make batches ahead of time
            "candidates": "",  # set by the launch for IdRank
            "num_candidates": 0,
        }
    )
    config.optim = ConfigDict(
        {
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "warmup_steps": 200,
            "epoch_steps": 0,  # for the schedule 'plateau', set by the launch
            "weight_decay": 1e-2,
            "b1": 0.9,
            "b2": 0.99,
            "clip": 1.0,
            "clip_by": "part",  # or 'global': by the norm of all params
            "accumulate": 1,  # microbatches a step, one after another: for less memory
            "groups": ConfigDict(),  # regex -> factor on the learning rate; 0 freezes
        }
    )
    config.mesh = ConfigDict({"mode": "data", "data": -1, "fsdp": -1, "rules": ()})
    config.ema_decay = 0.999
    config.compute_dtype = "float32"  # or 'bfloat16': of the networks, in training
    config.keep = 2
    return config


def is_variant(variant: str, name: str) -> bool:
    """Whether `CONFIG:name` was asked for, the only variant there is."""
    if variant not in ("", name):
        raise ValueError(f"variant {variant!r} is not known; use {name!r}, or none")
    return variant == name


def cached_or_tiny(variant: str) -> tuple[bool, bool]:
    """Which of the paper's configs `CONFIG:cached`, `:tiny`, `:cached_tiny` is: (cached, tiny)."""
    known = {"": (False, False), "cached": (True, False), "tiny": (False, True)}
    known["cached_tiny"] = (True, True)
    if variant not in known:
        raise ValueError(f"variant {variant!r} is not known; use cached, tiny, cached_tiny or none")
    return known[variant]


def set_cached(config: ConfigDict, tiny: bool) -> None:
    """Train on the features that the encoder pass has stored, with both encoders frozen whole, in
    place of crops."""
    name = config.model.encoder.name
    size = (16 if tiny else 512) * len(name.split("+"))
    config.model.features = ConfigDict({"name": name, "size": size})
    config.model.encoder = ConfigDict({"name": "cached"})
    config.optim.groups = ConfigDict()
    config.input.workers = 0  # rows of numbers need no others
    if config.task == "idrank":  # its IdGen may see other features than a step has
        config.candidates.way = "pool"


def set_lengths(config: ConfigDict, demo: bool, total: int, patience: int) -> None:
    """Steps in all; and the few of the demo."""
    config.total_steps, config.patience_steps = total, patience
    config.log_steps, config.eval_steps, config.ckpt_steps = 100, 500, 1000
    config.picture_steps = 1000
    if demo:
        config.total_steps, config.patience_steps = 300, 0
        config.log_steps, config.eval_steps, config.ckpt_steps = 50, 100, 300
        config.picture_steps = 0  # compiling what draws them is a part of so short a run
        config.optim.warmup_steps, config.ema_decay = 20, 0.98
        config.input.batch_size = min(config.input.batch_size, 128)


def set_published(
    config: ConfigDict, tiny: bool, learning_rate: float, batch_size: int, images: int
) -> None:
    """The published optimiser: the encoders at 1e-4, all rates x 0.99 on a plateau; no EMA, and no
    hidden faces (--config.input.occluded_share=0.5 has them). What the encoder's `frozen_stages`
    cover is not trained at all. A batch holds `images` pictures of each of its subjects."""
    config.total_steps, config.patience_steps = 200_000, 0
    config.log_steps, config.eval_steps, config.ckpt_steps = 100, 2000, 2000
    config.picture_steps = 2000
    rates = {"learning_rate": learning_rate, "schedule": "plateau", "warmup_steps": 0}
    config.optim.update({**rates, "weight_decay": 1e-4, "b2": 0.999, "clip": 0.0})
    config.optim.groups = ConfigDict({"^encoder/": 1e-4 / learning_rate})
    config.input.batch_size, config.input.occluded_share = batch_size, 0.0
    config.input.images_per_subject, config.input.workers = images, 4
    config.ema_decay = 0.0
    if tiny:
        config.total_steps = 8
        config.log_steps, config.eval_steps, config.ckpt_steps = 1, 4, 4
        config.picture_steps = 8
        config.input.batch_size, config.input.workers = 4, 0


def diffusion(prediction_type: str, loss: str) -> dict[str, Any]:
    """The published schedule, and how the network is trained and sampled."""
    return {
        "prediction_type": prediction_type,
        "loss": loss,
        "schedule": {"steps": 1000, "beta_start": 1e-4, "beta_end": 1e-2},
        "sampler": {"name": "dpm3", "steps": 20},
        # Weights (rms / mean)^power of the coefficients: by what they move, unless published.
        "weight_power": 1.0 if loss == "l2" else 0.0,
    }


def open_features(width: int, dropout: float) -> dict[str, Any]:
    """The open face features and a trainable encoder on them."""
    return {
        "features": {"name": "open", "size": 557},  # the launch takes the size of the data
        "feature_noise": 0.1,
        "encoder": {"name": "mlp", "hidden": (width,), "out_dim": width, "dropout": dropout},
    }


def denoiser(widths: tuple[int, ...], context_dim: int) -> dict[str, Any]:
    """A small denoiser, without attention."""
    return {"widths": widths, "context_dim": context_dim, "time_dim": 64, "attention": False}


def published_diffusion() -> dict[str, Any]:
    """As published, but sampled in 25 steps where the paper takes 1000."""
    shared = diffusion("eps", "l1")
    schedule = {**shared["schedule"], "tables": "float64"}
    return {**shared, "schedule": schedule, "sampler": {"name": "dpm3", "steps": 25}}


def arcface(tiny: bool) -> dict[str, Any]:
    """ArcFace's IResNet-100 on crops, of which the fourth stage and what follows are trained."""
    blocks = (1, 1, 1, 1) if tiny else (3, 13, 30, 3)
    shared = {"last_norm": True, "channels": "rgb", "frozen_stages": 3}
    sizes = {"width": 8, "out_dim": 16} if tiny else {}
    return {"name": "arcface", "blocks": blocks, **shared, **sizes}


def farl_arcface(tiny: bool) -> dict[str, Any]:
    """FaRL's ViT-B/16, trained whole, and that ArcFace."""
    farl = {"width": 768, "depth": 12, "heads": 12, "patch": 16, "out_dim": 512}
    if tiny:
        farl = {"width": 32, "depth": 2, "heads": 2, "patch": 56, "out_dim": 16}
    return {**arcface(tiny), "name": "farl+arcface", "farl": farl}


def published_denoiser(tiny: bool, widths: tuple[int, ...], context_dim: int) -> dict[str, Any]:
    """The paper's network."""
    sizes = {"time_dim": 512, "tokens": 16, "heads": 4, "head_dim": 32}
    if tiny:
        widths, sizes = (16, 8), {"time_dim": 16, "tokens": 4, "heads": 2, "head_dim": 4}
    return {"widths": widths, "context_dim": context_dim, **sizes, "attention": True}


def candidates(steps: int, keep: int, pool: int) -> ConfigDict:
    """Where IdRank's candidates come from: way 'step' draws `input.num_candidates` for each picture
    of a step inside it; 'pool' draws `pool` for each picture once before training, and each epoch
    takes others of them; 'none' draws none, for a choice that learns without. The published way is
    'step' with `sampler.name` 'ddpm': all 1000 steps."""
    return ConfigDict(
        {
            "way": "step",
            "sampler": {"name": "dpm", "steps": steps},  # of training candidates
            "keep": keep,  # leading shape coefficients
            "pool": pool,
            # The held-out pictures' are drawn once, in the same way for every run.
            "held_out": {"num": pool, "sampler": {"name": "dpm", "steps": steps}},
            "dir": "",  # of what was drawn before training, set by the launch
        }
    )

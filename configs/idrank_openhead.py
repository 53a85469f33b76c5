"""IdRank on the open head: scores IdGen's candidates; train IdGen first.

    python -m launch.train --config configs/idrank_openhead.py --config.idgen=runs/idgen \\
        --data DIR --workdir runs/idrank

Scores by the distance to the expected face (`ofer_jax/tasks/nearest.py`), which it learns from more
of the picture than IdGen sees: dlib's middle map as a whole. No candidates are drawn in training.

`--config configs/idrank_openhead.py:listwise` is the published design, on the features that IdGen
sees, `:demo` and `:listwise_demo` the small ones. CPU time of a step of the published design
(median of 8, one process of a busy machine):

| candidates         | a step | before the first step        |
| ------------------ | ------ | ---------------------------- |
| pool of 64         | 62 ms  | 430 s (*), 0.53 GB of files  |
| step, dpm 10 steps | 241 ms | nothing                      |
| step, dpm 20 steps | 404 ms | nothing                      |
| step, dpm 30 steps | 569 ms | nothing                      |

(*) Reckoned from one batch. (A pool is drawn for the first of several occluded versions of a
picture, and training then sees that one alone: with `--variants` take the way 'step'.)
"""

from ml_collections import ConfigDict

from configs import common

VARIANTS = ("", "demo", "listwise", "listwise_demo")


def get_config(variant: str = "") -> ConfigDict:
    if variant not in VARIANTS:
        raise ValueError(f"variant {variant!r} is not known; use one of {', '.join(VARIANTS[1:])}")
    demo = variant.endswith("demo")
    config = common.base("idrank")
    config.idgen = ""  # the workdir of a trained IdGen
    steps, pool = (10, 16) if demo else (20, 64)
    config.candidates = common.candidates(steps=steps, keep=150, pool=pool)
    config.model = ConfigDict({"rigid_free": True})
    if variant.startswith("listwise"):
        _set_listwise(config, demo)
    else:
        _set_nearest(config, demo)
    return config


def _set_nearest(config: ConfigDict, demo: bool) -> None:
    """The candidate nearest to an expected face."""
    config.candidates.way = "none"
    config.input.batch_size = 64 if demo else 256
    config.input.occluded_share = 0.65  # they have more to learn from, and are harder
    config.model.update(
        {
            "choice": "nearest",
            "vertex_stride": 8 if demo else 2,
            # The open features, and after them the map; the launch takes the size of the data.
            "features": {"name": "open+map", "size": 557 + 8192},
            "feature_noise": 0.25,
            "encoder": {"name": "cached"},
            "num_coefficients": 32 if demo else 64,
            "members": 1 if demo else 2,
            "net": {
                "leading": 557,
                "squeeze": 64 if demo else 256,
                "hidden": (128 if demo else 1024,),
                "dropout": 0.5,
                "input_dropout": 0.3,
            },
        }
    )
    config.optim.update({"learning_rate": 6e-4, "weight_decay": 5e-2})
    common.set_lengths(config, demo, total=3000, patience=0)
    config.ema_decay = 0.98 if demo else 0.995
    config.eval_steps = 100 if demo else 250


def _set_listwise(config: ConfigDict, demo: bool) -> None:
    """The published design."""
    width = 32 if demo else 128
    config.input.num_candidates = 16 if demo else 32
    config.input.batch_size = 32 if demo else 64
    config.model.update(
        {
            **common.open_features(width, 0.5),
            "vertex_stride": 8,
            "feature_noise": 0.3,
            "context_dim": width,
            "temperature": 0.1,
            "relative": True,
            "vertex_scale": 0.5,
            "net": {"hidden": (2 * width, width, width // 2), "groups": 8, "distance": True},
        }
    )
    config.optim.update({"learning_rate": 2e-4, "weight_decay": 1e-2})
    common.set_lengths(config, demo, total=1000, patience=0)
    config.eval_steps = 100 if demo else 250

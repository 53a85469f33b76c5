"""IdRank on the open head: scores IdGen's candidates; train IdGen first.

    python -m launch.train --config configs/idrank_openhead.py --config.idgen=runs/idgen \\
        --data DIR --workdir runs/idrank

Time: 5 minutes on 2 cores, four of them for drawing the candidates.
Expected: recovered gap .45 | .37 (clean | occluded) on the candidates of the held-out heads.
`--config configs/idrank_openhead.py:demo` is the small one of `make demo`.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    demo = common.is_variant(variant, "demo")
    width = 32 if demo else 128
    config = common.base("idrank")
    config.idgen = ""  # the workdir of a trained IdGen
    config.candidates = common.candidates(steps=20, keep=150, pool=64)
    config.input.num_candidates = 32
    config.input.batch_size = 32 if demo else 64
    config.model = ConfigDict(
        {
            **common.open_features(width, 0.5),
            "feature_noise": 0.3,
            "context_dim": width,
            "temperature": 0.1,
            "vertex_stride": 8,
            "relative": True,
            "rigid_free": True,
            "vertex_scale": 0.5,
            "net": {"hidden": (2 * width, width, width // 2), "groups": 8, "distance": True},
        }
    )
    config.optim.update({"learning_rate": 2e-4, "weight_decay": 1e-2})
    common.set_lengths(config, demo, total=1000, patience=0)
    config.eval_steps = 100 if demo else 250
    if demo:
        config.candidates = common.candidates(steps=10, keep=150, pool=16)
        config.input.num_candidates = 16
    return config

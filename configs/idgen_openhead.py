"""IdGen on the open head: shape from the open face features.

    python -m launch.train --config configs/idgen_openhead.py --data DIR --workdir runs/idgen

Time: TIME_IDGEN
Expected: FIGURE_IDGEN
`--config configs/idgen_openhead.py:demo` is the one of `make demo`, a few hundred steps.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    if variant not in ("", "demo"):
        raise common.variant_error(variant, ("demo",))
    demo = variant == "demo"
    width = 128 if demo else 256
    config = common.base("idgen")
    config.model = ConfigDict(
        {
            **common.diffusion("v", "l2"),
            "features": {"name": "open", "size": 557},
            "feature_noise": 0.1,
            # The face's 64 leading directions; what they leave open is drawn from the prior.
            "num_coefficients": 64,
            "basis": "face",
            "rest": "prior",
            "weight_power": 0.5,
            "encoder": {"name": "mlp", "hidden": (width,), "out_dim": width, "dropout": 0.2},
            "net": {
                "widths": (width, width // 2),
                "context_dim": width,
                "time_dim": 128,
                "tokens": 0,
                "heads": 0,
                "head_dim": 32,
            },
            "regressor": {"hidden": (width,), "out_dim": 64, "dropout": 0.3},
        }
    )
    config.optim.weight_decay = 1e-2
    common.set_lengths(config, *((400, 50, 100, 400) if demo else (20_000, 100, 500, 1000)))
    if demo:
        config.optim.warmup_steps = 20
        config.ema_decay = 0.99
        config.input.batch_size = 128
    else:
        config.patience_steps = 6000
    return config

"""IdGen on the open head: shape from the open face features.

    python -m launch.train --config configs/idgen_openhead.py --data DIR --workdir runs/idgen

Time: under 2 minutes on 2 cores (4000 steps, 13,872 training pairs).
Expected: best held-out loss 0.750 near step 2500; over held-out heads mean of the samples
.61 | .74, oracle of 100 .58 | .65 of the mean face's error, calibration 1.0 | 0.8 (clean |
occluded).
`--config configs/idgen_openhead.py:demo` is the small one of `make demo`.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    demo = common.is_variant(variant, "demo")
    size, width = (32, 64) if demo else (64, 256)
    config = common.base("idgen")
    config.model = ConfigDict(
        {
            **common.diffusion("v", "l2"),
            **common.open_features(width, 0.4),
            # The face's leading directions; what they leave open is drawn from the prior.
            "num_coefficients": size,
            "basis": "face",
            "rest": "prior",
            "net": common.denoiser((64,) if demo else (192,), width),
            "regressor": {"hidden": (2 * width,), "out_dim": size, "dropout": 0.3},
        }
    )
    common.set_lengths(config, demo, total=4000, patience=2000)
    return config

"""IdGen on the open head: shape from the open face features.

    python -m launch.train --config configs/idgen_openhead.py --data DIR --workdir runs/idgen

Time: under 3 minutes on 2 cores (6000 steps, 14,000 heads, each clean and behind four things).
Expected: best held-out loss 0.736 near step 4500 (0.738 by step 4000; with one thing a head 0.750
near 2500, then rising); over held-out heads mean of the samples .60 | .73, oracle of 100 .56 | .65
of the mean face's error, calibration .95 | .88 (clean | occluded).
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
    common.set_lengths(config, demo, total=6000, patience=3000)
    return config

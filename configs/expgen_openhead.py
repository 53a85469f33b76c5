"""ExpGen on the open head: expression and jaw from the open face features.

    python -m launch.train --config configs/expgen_openhead.py --data DIR --workdir runs/expgen

Time: under 5 minutes on 2 cores (10,000 steps).
Expected: best held-out loss 0.414 near step 7000; the closest of 15 at .35 | .46 of the neutral
face's error (clean | occluded).
`--config configs/expgen_openhead.py:demo` is the small one of `make demo`.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    demo = common.is_variant(variant, "demo")
    width = 64 if demo else 256
    config = common.base("expgen")
    config.model = ConfigDict(
        {
            **common.diffusion("v", "l2"),
            **common.open_features(width, 0.4),
            "num_expression": 50,
            "total_expression": 100,
            # Of the synthetic set's draws: data_pipelines/synthetic/bodies.py.
            "expression_scale": 0.8,
            "jaw_mean": (0.042, 0.0, 0.0),
            "jaw_scale": (0.065, 0.01, 0.01),
            "net": common.denoiser((64,) if demo else (192,), width),
        }
    )
    common.set_lengths(config, demo, total=10000, patience=4000)
    return config

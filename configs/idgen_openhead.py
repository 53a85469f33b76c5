"""IdGen on the open head: shape from the open face features.

    python -m launch.train --config configs/idgen_openhead.py --data DIR --workdir runs/idgen

Time: 5 minutes on 2 cores (8000 steps, 26,500 heads, each clean and behind two things).
Expected: best held-out loss 0.721 at the last step (0.736 near step 4500 from 14,000 heads and four
things each). On the validation pictures spread variance / squared error is then .98 clean and .89
occluded, and with the sampler's temperature 1.02 and .93.
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
    if not demo:
        config.model.sampler.temperature = 1.02
    common.set_lengths(config, demo, total=8000, patience=4000)
    return config

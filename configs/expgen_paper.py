"""ExpGen in the paper's sizes: 50 expression coefficients and the jaw from FaRL and ArcFace.

    python -m launch.train --config configs/expgen_paper.py --config.head=FLAME.npz \\
        --config.surface=REGIONS.npz --data DIR --workdir runs/expgen_paper

Features: FaRL's embedding (512, not normalised), then ArcFace's (512, L2-normalised), of frozen
encoders, cached by the feature pass; the published run trains both at 1e-4. Its data, FLAME fitted
to FaMoS, are not free. Expected there: closest sample on CO-545 0.17 mm (CVPR 2025).
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.base("expgen")
    config.model = ConfigDict(
        {
            **common.diffusion("eps", "l1"),
            "sampler": {"name": "ddpm"},
            "features": {"name": "farl+arcface", "size": 1024},
            "encoder": {"name": "cached"},
            "num_expression": 50,
            "total_expression": 100,
            "expression_scale": 1.0,
            "jaw_mean": (0.0, 0.0, 0.0),
            "jaw_scale": (1.0, 1.0, 1.0),
            "net": common.published_denoiser((53, 25, 10), 1024),
        }
    )
    common.set_published(config, total=200_000, learning_rate=1e-3)
    return config

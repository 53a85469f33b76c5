"""IdGen in the paper's sizes: 300 coefficients of FLAME from ArcFace's embedding.

    python -m launch.train --config configs/idgen_paper.py --config.head=FLAME.npz \\
        --config.surface=REGIONS.npz --data DIR --workdir runs/idgen_paper

Features: the L2-normalised embedding (512) of a frozen ArcFace, cached by the feature pass. The
published run trains ArcFace's last stage too and lowers its rate on a plateau; its data are not
free. Expected there: NoW median 0.98 mm with IdRank (Selvaraju et al., CVPR 2025).
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.base("idgen")
    config.model = ConfigDict(
        {
            **common.diffusion("eps", "l1"),
            "sampler": {"name": "ddpm"},
            "features": {"name": "arcface", "size": 512},
            "encoder": {"name": "cached"},
            "num_coefficients": 300,
            "basis": "first",
            "rest": "zero",
            "net": common.published_denoiser((300, 50, 10), 512),
            "regressor": {"hidden": (300, 300, 300, 300), "out_dim": 300},
        }
    )
    common.set_published(config, total=200_000, learning_rate=1e-3)
    return config

"""IdRank in the paper's sizes: 1785 front-face vertices, FaRL and ArcFace, 100 candidates.

    python -m launch.train --config configs/idrank_paper.py --config.idgen=runs/idgen_paper \\
        --config.head=FLAME.npz --config.surface=REGIONS.npz --data DIR --workdir runs/idrank_paper

The published run draws its candidates anew in every step; here each picture has a pool of 400.
Expected there: NoW median of the pick 0.98 mm, of the best of 100 0.81 mm (CVPR 2025).
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.base("idrank")
    config.idgen = ""
    sampler = {"name": "dpm", "steps": 50}
    config.candidates = ConfigDict({"pool": 400, "keep": 300, "sampler": sampler})
    config.input.num_candidates = 100
    config.model = ConfigDict(
        {
            "features": {"name": "farl+arcface", "size": 1024},
            "encoder": {"name": "cached"},
            "context_dim": 1024,
            "temperature": 1.0,
            "vertex_stride": 1,
            "relative": False,
            "rigid_free": False,
            "vertex_scale": 1.0,
            "net": {"hidden": (4096, 1024, 256, 64), "groups": 8},
        }
    )
    common.set_published(config, total=200_000, learning_rate=1e-6)
    config.input.batch_size = 8
    return config

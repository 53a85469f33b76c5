"""IdGen as in the paper: 300 coefficients of FLAME from ArcFace, whose last stage is trained too.

    python -m launch.build_dataset --out DIR ... --features crops
    python -m launch.train --config configs/idgen.py --flame PATH --arcface FILE --data DIR \\
        --workdir runs/idgen

FILE: insightface's backbone.pth or glintr100.onnx, or MICA's mica.tar, all non-commercial. Rates:
the network 1e-3, ArcFace 1e-4; its stem and first three stages stay as they are.

Time: half a minute a step on 2 busy CPU cores, in 3.3 GB; 200,000 steps want an accelerator.
Expected: the paper's NoW median is 0.98 mm with IdRank, 0.81 mm for the best of 100 samples
(Selvaraju et al., CVPR 2025), on scans of people that are not free; none is claimed here.
`--config configs/idgen.py:cached` trains without pictures, on what the frozen encoders made of
them (build_dataset --features arcface). `--config configs/idgen.py:tiny` is a small one, to
try the way from crops to a bundle.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    cached, tiny = common.cached_or_tiny(variant)
    config = common.base("idgen")
    config.model = ConfigDict(
        {
            **common.published_diffusion(),
            "features": {"name": "crops"},
            "encoder": common.arcface(tiny),
            "num_coefficients": 300,
            "basis": "first",
            "rest": "zero",
            "net": common.published_denoiser(tiny, (300, 50, 10), 16 if tiny else 512),
            "regressor": {},  # MICA's comes with the import of its weights
        }
    )
    common.set_published(config, tiny, learning_rate=1e-3, batch_size=64, images=4)
    if cached:
        common.set_cached(config, tiny)
    return config

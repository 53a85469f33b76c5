"""ExpGen as in the paper: 50 expression coefficients and the jaw, from FaRL and ArcFace.

    python -m launch.build_dataset --out DIR ... --features crops
    python -m launch.train --config configs/expgen.py --flame PATH --arcface FILE --farl FILE \\
        --data DIR --workdir runs/expgen

FILE: as for IdGen; and FaRL-Base-Patch16-LAIONFace20M-ep64.pth (MIT). Rates: the network 1e-3,
FaRL 1e-4, ArcFace's fourth stage and head 1e-4; its stem and first three stages stay as they are.

Time: not measured; 200,000 steps want an accelerator.
Expected: the paper's closest sample on CO-545 is 0.17 mm (Selvaraju et al., CVPR 2025), trained on
FLAME fitted to FaMoS, which is not free; none is claimed here.
`--config configs/expgen.py:cached` trains without pictures, on what the frozen encoders made of
them (build_dataset --features arcface,farl). `--config configs/expgen.py:tiny` is a small one, to
try the way from crops to a bundle.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    cached, tiny = common.cached_or_tiny(variant)
    config = common.base("expgen")
    config.model = ConfigDict(
        {
            **common.published_diffusion(),
            "features": {"name": "crops"},
            "encoder": common.farl_arcface(tiny),
            "num_expression": 50,
            "total_expression": 100,
            "expression_scale": 1.0,
            "jaw_mean": (0.0, 0.0, 0.0),
            "jaw_scale": (1.0, 1.0, 1.0),
            "net": common.published_denoiser(tiny, (53, 25, 10), 32 if tiny else 1024),
        }
    )
    common.set_published(config, tiny, learning_rate=1e-3, batch_size=64, images=4)
    if cached:
        common.set_cached(config, tiny)
    return config

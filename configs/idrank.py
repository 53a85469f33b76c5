"""IdRank as in the paper: 100 candidates of a trained IdGen, ranked by 1785 front-face vertices.

    python -m launch.train --config configs/idrank.py --config.idgen=runs/idgen --flame PATH \\
        --arcface FILE --farl FILE --data DIR --workdir runs/idrank

FILE: as for ExpGen. Rates: the network 1e-6, FaRL and ArcFace's fourth stage and head 1e-4. A step
sees 8 pictures with 100 candidates each, drawn anew in every step as published, but in 30 steps of
the sampler and not 1000 (which --config.candidates.sampler.name=ddpm brings back); with
--config.candidates.way=pool each picture has 400, drawn once, of which each epoch takes others.

Time: half a minute a step on 2 busy CPU cores, in 6.7 GB, without the drawing; 200,000 steps want
an accelerator. By the programs' FLOPs (not timed), in GFLOP a step: FaRL 843 and the ranker 93,
forward and backward; ArcFace at least 179; and the frozen IdGen 179 for its own ArcFace and 14 for
each step of the sampler: 420 for 30 steps, 13,900 for the published 1000.
Expected: the paper's NoW median of the pick is 0.98 mm, of the best of 100 0.81 mm, of a sample
1.02 mm (Selvaraju et al., CVPR 2025); none is claimed here.
`--config configs/idrank.py:cached` trains without pictures, on what the frozen encoders made of
them (build_dataset --features arcface,farl). `--config configs/idrank.py:tiny` is a small one, to
try the way from crops to a bundle.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    cached, tiny = common.cached_or_tiny(variant)
    config = common.base("idrank")
    config.idgen = ""  # the workdir of a trained IdGen
    config.candidates = common.candidates(
        steps=5 if tiny else 30, keep=300, pool=8 if tiny else 400
    )
    config.input.num_candidates = 4 if tiny else 100
    config.model = ConfigDict(
        {
            "features": {"name": "crops"},
            "encoder": common.farl_arcface(tiny),
            "context_dim": 32 if tiny else 1024,
            "temperature": 1.0,
            "vertex_stride": 32 if tiny else 1,
            "relative": False,
            "rigid_free": False,
            "vertex_scale": 1.0,
            "net": {"hidden": (32, 16) if tiny else (4096, 1024, 256, 64), "groups": 8},
        }
    )
    common.set_published(config, tiny, learning_rate=1e-6, batch_size=8, images=1)
    if cached:
        common.set_cached(config, tiny)
    return config

"""IdRank on the open head: scores IdGen's candidates; train IdGen first.

    python -m launch.train --config configs/idrank_openhead.py --config.idgen=runs/idgen \\
        --data DIR --workdir runs/idrank

Candidates are drawn in the step. CPU time of a step (median of 8, one process of a busy machine):

| candidates         | a step | before the first step        |
| ------------------ | ------ | ---------------------------- |
| pool of 64         | 62 ms  | 430 s (*), 0.53 GB of files  |
| step, dpm 10 steps | 241 ms | nothing                      |
| step, dpm 20 steps | 404 ms | nothing                      |
| step, dpm 30 steps | 569 ms | nothing                      |

(*) Reckoned from one batch. Up to about 1,250 steps 'step' with 20 is done before the pool. With
one occluded version of a head the held-out loss is lowest within the first 250 steps, and drawing
afresh was not seen to reduce over-fitting: loss 4.1080 and 4.1075 at step 125 and 250 (recovered
.42; dpm 10, ended there), from the pool 4.1066 and 4.1075 (.43), then rising to 4.1113. With 10
steps of the sampler the candidates' mean error is 2 % above that with 20 or 30, which agree.

Expected: best held-out loss 4.089 at step 1000; recovered gap .41 | .39 (clean | occluded) on the
candidates of the held-out heads. (A pool is drawn for the first of several occluded versions of a
picture, and training then sees that one alone: with `--variants` take the way 'step'.)
`--config configs/idrank_openhead.py:demo` is the small one of `make demo`.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    demo = common.is_variant(variant, "demo")
    width = 32 if demo else 128
    config = common.base("idrank")
    config.idgen = ""  # the workdir of a trained IdGen
    config.candidates = common.candidates(steps=20, keep=150, pool=64)
    config.input.num_candidates = 32
    config.input.batch_size = 32 if demo else 64
    config.model = ConfigDict(
        {
            **common.open_features(width, 0.5),
            "feature_noise": 0.3,
            "context_dim": width,
            "temperature": 0.1,
            "vertex_stride": 8,
            "relative": True,
            "rigid_free": True,
            "vertex_scale": 0.5,
            "net": {"hidden": (2 * width, width, width // 2), "groups": 8, "distance": True},
        }
    )
    config.optim.update({"learning_rate": 2e-4, "weight_decay": 1e-2})
    common.set_lengths(config, demo, total=1000, patience=0)
    config.eval_steps = 100 if demo else 250
    if demo:
        config.candidates = common.candidates(steps=10, keep=150, pool=16)
        config.input.num_candidates = 16
    return config

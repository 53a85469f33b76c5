"""What `launch.build_dataset` makes of a finished data set, by flags: features, aligned crops."""

from absl import flags

from data_pipelines import crop_pass, encoder_pass, feature_pass, finished
from ofer_jax import encoders

KNOWN = ("none", "open", "crops", "arcface", "farl")
FEATURES = flags.DEFINE_list("features", "none", f"what to make afterwards: {', '.join(KNOWN)}")
WORKERS = flags.DEFINE_integer("feature_workers", None, "processes for that; 0 for a GPU", 0)
PROJECTION = flags.DEFINE_string("projection", None, "projection.npz (default: the embedded one)")
FIT = flags.DEFINE_string("fit_projection", None, "fit the projection first and write it here")
FIT_PAIRS = flags.DEFINE_integer("fit_pairs", 4000, "train pairs to fit it on", 2)
KEEP_RAW = flags.DEFINE_boolean("keep_raw", False, "keep the raw features (40 kB a pair)")
VARIANTS = flags.DEFINE_integer("variants", 1, "occluded versions of each train picture", 1)
STRENGTH = flags.DEFINE_float("strength", 1.0, "of the occluders drawn for them", 0.0)
ARCFACE = flags.DEFINE_string("arcface", None, "ArcFace's weights, in any published file")
FARL = flags.DEFINE_string("farl", None, "FaRL's weights, in any published file")


def check() -> list[encoders.Encoder]:
    """The encoders that are asked for, read before the long work begins.

    Raises:
      ValueError: a feature of no known name, or an encoder's weights not given.
    """
    if unknown := set(FEATURES.value) - set(KNOWN):
        raise ValueError(f"--features knows {', '.join(KNOWN)}, not {min(unknown)!r}")
    paths = {"arcface": ARCFACE.value, "farl": FARL.value}
    return encoders.read({name: paths[name] for name in paths if name in FEATURES.value})


def run(out: str, made: list[encoders.Encoder], workers: int) -> None:
    """Makes what is asked for of the data set in `out`, and prints what came of it."""
    workers = workers if WORKERS.value is None else WORKERS.value
    drawn = {"variants": VARIANTS.value, "strength": STRENGTH.value}
    if "open" in FEATURES.value:
        metas = feature_pass.run(
            out,
            projection=FIT.value or PROJECTION.value,
            fit=FIT_PAIRS.value if FIT.value else 0,
            workers=workers,
            keep_raw=KEEP_RAW.value,
            **drawn,
        )
        print(finished.summary(metas))
    if "crops" in FEATURES.value:
        print(finished.summary(crop_pass.run(out, workers=workers)))
    if made:
        print(finished.summary(encoder_pass.run(out, made, workers=workers, **drawn)))

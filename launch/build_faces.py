"""The part of `launch.build_dataset` that reads a set of real pictures (`--set`), by flags."""

import functools
from typing import Any

from absl import flags

from data_pipelines import beam, faces_tfds, prepared, sets
from data_pipelines.preparation import CONVENTIONS, Settings
from ofer_jax import flame
from ofer_jax.faces import insightface_adapter

SET = flags.DEFINE_enum("set", None, list(sets.SETS), "set of real pictures to read")
SOURCE = flags.DEFINE_string("source", None, "its folder (for 'plain' a CSV or its folder)")
LAYOUT = flags.DEFINE_enum("layout", "auto", ["auto", "mica", "ofer", "plain"], "of the folder")
CROPS = flags.DEFINE_boolean("prepared_crops", False, "take the prepared crops, not the pictures")
LISTS = flags.DEFINE_list("lists", [], "people of each split: train=FILE,validation=FILE,test=FILE")
PICTURES = flags.DEFINE_string("pictures", None, "folder of raw pictures outside of the set's own")
FITS = flags.DEFINE_string("fits", None, "folder of launch.fit_meshes, for sets of meshes")
FLAME = flags.DEFINE_string("flame", None, "the FLAME file that the coefficients belong to")
DETECTOR = flags.DEFINE_enum("detector", "open", ["open", "insightface"], "what finds the faces")
MODELS = flags.DEFINE_string("detector_models", insightface_adapter.PACK, "pack or ONNX folder")
SIZE = flags.DEFINE_integer("detector_size", 224, "side that insightface sees pictures at", 64)
CONVENTION = flags.DEFINE_enum("crop_224", "box", CONVENTIONS, "1.6 x the box, or five points")
MIN_SCORE = flags.DEFINE_float("min_score", None, "least score of a face (default: the set's)")
MAX_REJECTED = flags.DEFINE_float("max_rejected", 0.05, "share that may be left out", 0.0, 1.0)
KEEP_PARTS = flags.DEFINE_boolean("keep_parts", False, "keep the prepared parts")
RUNNER = flags.DEFINE_enum("runner", None, beam.RUNNERS, "prepare by Apache Beam, on this runner")
BEAM_ARGS = flags.DEFINE_multi_string("beam_args", [], "an option for Beam, e.g. --region=eu")


def build(out: str, *, shares: tuple[float, float], workers: int, overwrite: bool) -> dict:
    """Reads, prepares and writes the set; returns its data card. ValueError: see `faces_tfds`."""
    name = SET.value or ""
    if not SOURCE.value:
        raise ValueError(f"--set {name} needs --source, the folder to read")
    if not FLAME.value:
        raise ValueError(f"--set {name} needs --flame: coefficients belong to one FLAME file")
    head = flame.load(FLAME.value).identity
    make = beam.mapper(RUNNER.value, BEAM_ARGS.value, workers) if RUNNER.value else None
    listing = sets.read(
        name,
        SOURCE.value,
        layout=LAYOUT.value,
        crops=CROPS.value,
        lists={name: path for name, _, path in (each.partition("=") for each in LISTS.value)},
        pictures=PICTURES.value,
        fits=FITS.value,
    )
    splits = sets.split(listing, *shares)
    print(
        "\n".join([*listing.notes, *(f"{split}: {len(e)} listed" for split, e in splits.items())])
    )
    return faces_tfds.build(
        out,
        listing,
        splits,
        _settings(head["release"] or head["name"]),
        head=head,
        make=make or prepared.workers(workers),
        max_rejected=MAX_REJECTED.value,
        overwrite=overwrite,
        keep_parts=KEEP_PARTS.value,
    )


def _settings(head: str) -> Settings:
    given = MIN_SCORE.value
    least = sets.spec(SET.value or "").min_score if given is None else given
    common: dict[str, Any] = {"head": head, "convention": CONVENTION.value, "min_score": least}
    if DETECTOR.value == "open":
        return Settings(**common)
    models, size = MODELS.value, SIZE.value
    faces = functools.partial(insightface_adapter.Detector, models, size, min(0.5, least))
    return Settings(**common, detector=f"insightface {models} at {size}", faces=faces)

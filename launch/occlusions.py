"""Which vertices of the face each held-out picture hides: data sets' records to `groups`.

The synthetic set keeps the mask of each occluder and the camera. For `faces` sets the mask is drawn
again by the very numbers that the passes drew the occluder by, and the camera is fitted to the 68
landmarks. Rows of features are matched to records in their order, by subject and coefficients:
pictures in which no face was found have no row.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from data_pipelines import augment, data_card, pairs, raw_pass
from data_pipelines.input import pictures
from ofer_jax.flame import FlameModel
from ofer_jax.occluded_expressions import visibility

POSE = ("shape", "expression", "jaw", "neck", "eyes", "global_rotation")


def groups(
    directory: str,
    split: str,
    features: str,
    arrays: Mapping[str, Any],
    model: FlameModel,
    region: np.ndarray,
) -> np.ndarray:
    """`visibility.groups` of each row of `arrays` (of `load_split`): [N, R] int8.

    Raises:
      ValueError: expressions are not known, or rows that no record fits.
    """
    drawn = pairs.kind(data_card.read(directory)) == pairs.SYNTHETIC
    records = pairs.open_split(directory, split)
    out = []
    for row, (number, record) in enumerate(tqdm(matched(records, arrays), desc="masks")):
        if not record.get("has_expression", True):
            raise ValueError(f"{directory}: the expression of picture {row} is not known")
        pose = {name: np.asarray(record[name]) for name in POSE}
        if drawn:
            mask = np.asarray(record["mask"]).reshape(record["image"].shape[:2])
            camera = record["camera"]
        else:
            mask = behind(record, number, features)[1]
            pose, camera = visibility.fitted(model, pose, record["landmarks"])
        out.append(visibility.of_picture(model, region, pose, camera, mask > 0))
    return np.stack(out)


def behind(record: Mapping[str, Any], number: int, features: str) -> tuple[np.ndarray, np.ndarray]:
    """A `faces` record's picture behind its occluder, and the mask: as the crops or, for any other
    features, the pictures of the feature pass have it."""
    if features == "crops":
        rng, settings = augment.rng(pictures.SEED, number), pictures.HIDDEN
    else:
        rng = augment.rng(raw_pass.ONE.seed, int(record["number"]), 0)
        settings = augment.Settings(share=1.0, strength=raw_pass.ONE.strength)
    return augment.occlude(rng, record["image"], record["landmarks"], settings)[:2]


def matched(
    records: Sequence[Any], arrays: Mapping[str, Any]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(number of the record, record) of each row."""
    row = 0
    for number in range(len(records)):
        if row == len(arrays["shape"]):
            return
        record = records[number]
        if all(np.allclose(record[n], arrays[n][row], atol=1e-6) for n in POSE[:3]):
            row += 1
            yield number, record
    if row < len(arrays["shape"]):
        raise ValueError(f"row {row} of the features fits no record; make the features again")

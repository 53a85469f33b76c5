"""The validation split as one batch that is read in slices."""

import types

import jax
import numpy as np
import pytest

from data_pipelines import input as batches
from launch import held_out
from ofer_jax import parts

COUNT = 5


def write(folder, features: str) -> None:
    """A validation split whose numbers tell the example, and 0.5 more the occluded picture."""
    where = batches.folder(folder, "validation", features)
    where.mkdir(parents=True)
    number = np.arange(COUNT, dtype=np.float32)[:, None]
    arrays = dict.fromkeys(batches.COEFFICIENTS, number)
    for offset, kind in enumerate(batches.KINDS):
        if features == "crops":
            crops = (2 * number + offset).astype(np.uint8)[:, None, None]
            arrays |= {f"{name}_{kind}": crops for name in batches.CROPS}
        arrays[f"features_{kind}"] = number + 0.5 * offset
    for name, array in arrays.items():
        np.save(where / f"{name}.npy", array)
    (where / "meta.json").write_text(f'{{"count": {COUNT}}}')


def config(folder, task: str, features: str) -> types.SimpleNamespace:
    names = types.SimpleNamespace(features=types.SimpleNamespace(name=features))
    return types.SimpleNamespace(
        task=task,
        model=names,
        input=types.SimpleNamespace(dir=str(folder)),
        candidates=types.SimpleNamespace(dir=str(folder / "pool")),
    )


def test_clean_and_occluded_alternate(tmp_path):
    write(tmp_path, "open")
    for offset, kind in enumerate(batches.KINDS):
        path = parts.files(tmp_path / "pool", f"validation_{kind}", COUNT)[0]
        parts.save(path, np.arange(COUNT)[:, None, None] + 0.5 * offset)
    found = held_out.arrays(config(tmp_path, "idrank", "open"))
    assert {len(array) for array in found.values()} == {2 * COUNT}
    whole = {name: np.asarray(array[0 : 2 * COUNT]) for name, array in found.items()}
    np.testing.assert_array_equal(whole["features"][:, 0], np.arange(10) / 2)
    np.testing.assert_array_equal(whole["candidates"][:, 0, 0], np.arange(10) / 2)
    np.testing.assert_array_equal(whole["jaw"][:, 0], np.arange(10) // 2)
    np.testing.assert_array_equal(whole["index"], np.arange(10))
    np.testing.assert_array_equal(found["features"][3:7][:, 0], np.arange(3, 7) / 2)


@pytest.mark.parametrize("rows", [slice(0, 4), slice(3, 8), slice(8, 12)])
def test_crops_are_read_in_slices(tmp_path, rows):
    write(tmp_path, "crops")
    found = held_out.arrays(config(tmp_path, "idgen", "crops"))
    assert found["features"].keys() == set(batches.CROPS)
    some = jax.tree.map(lambda array: np.asarray(array[rows]), found)
    for crops in some["features"].values():
        assert crops.dtype == np.uint8
        np.testing.assert_array_equal(crops[:, 0, 0, 0], some["index"])

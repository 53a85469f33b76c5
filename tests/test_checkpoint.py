"""Checkpoints restore onto another mesh, with the iterator, and keep the newest and the best."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import checkpoint, sharding
from tests import toy

FSDP = (("kernel$", "fsdp"), (".*", "replicate"))


def tree() -> dict[str, Any]:
    values = np.arange(32, dtype=np.float32).reshape(4, 8)
    return {"net": {"kernel": values}, "encoder": {}, "step": np.int32(3), "key": np.arange(3)}


def placed(data: int, fsdp: int) -> Any:
    mesh = sharding.make_mesh(data, fsdp)
    return jax.device_put(tree(), sharding.of_tree(tree(), mesh, FSDP))


def like(x: Any) -> Any:
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding), x)


def test_state_and_iterator_restore_onto_another_mesh(tmp_path: Path) -> None:
    batches = toy.Batches()
    batches.position = 5
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, placed(8, 1), batches)
    other, target = toy.Batches(), placed(2, 4)
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest == 5
        restored = checkpoints.restore(like(target), other)
    assert other.position == 5
    assert restored["net"]["kernel"].sharding == target["net"]["kernel"].sharding
    jax.tree.map(np.testing.assert_array_equal, restored, tree())


def test_another_number_of_processes_gets_its_position_from_the_step(tmp_path: Path) -> None:
    batches = toy.Batches()
    batches.position = 7
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(7, placed(8, 1), batches)
    (stored,) = tmp_path.glob("checkpoints/7/data/process_0-of-1.json")
    stored.rename(stored.with_name("process_0-of-4.json"))
    other = toy.Batches()
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.restore(like(placed(8, 1)), other)
    assert other.position == 7


def test_the_newest_are_kept_and_the_best_beside_them(tmp_path: Path) -> None:
    best = {"params": {"a": jnp.ones(3)}, "values": {"loss": np.array(0.5)}}
    with checkpoint.Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in (1, 2, 3, 4):
            checkpoints.save(step, placed(8, 1), toy.Batches())
            checkpoints.save_best(step, best)
    steps = {
        part: sorted(int(path.name) for path in (tmp_path / part).iterdir() if path.name.isdigit())
        for part in ("checkpoints", "best")
    }
    assert steps == {"checkpoints": [3, 4], "best": [4]}
    read = checkpoint.read_best(tmp_path, best)
    jax.tree.map(np.testing.assert_array_equal, read, jax.device_get(best))


def test_a_folder_without_checkpoints_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no best/; train there first"):
        checkpoint.read_best(tmp_path / "nothing", {})
    with (
        checkpoint.Checkpoints(tmp_path) as checkpoints,
        pytest.raises(ValueError, match="no checkpoint to restore"),
    ):
        checkpoints.restore({}, toy.Batches())

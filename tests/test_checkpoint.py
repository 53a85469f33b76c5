"""Checkpoints restore onto another mesh, with the iterator, and keep the newest and the best."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import checkpoint, seals, sharding
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
    (tmp_path / "checkpoints" / "7" / seals.NAME).unlink()
    other = toy.Batches()
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.restore(like(placed(8, 1)), other)
    assert other.position == 7


def test_the_newest_are_kept_and_the_best_beside_them(tmp_path: Path) -> None:
    best = {"params": {"a": jnp.ones(3)}, "values": {"loss": np.array(0.5)}}
    with checkpoint.Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in (1, 2, 3, 4):
            checkpoints.save(step, placed(8, 1), toy.Batches())
            checkpoints.save_best(best)
    steps = {
        part: sorted(int(path.name) for path in (tmp_path / part).iterdir() if path.name.isdigit())
        for part in ("checkpoints", "best")
    }
    assert steps == {"checkpoints": [3, 4], "best": [3, 4]}
    read = checkpoint.read_best(tmp_path, best)
    jax.tree.map(np.testing.assert_array_equal, read, jax.device_get(best))


def test_a_folder_without_checkpoints_is_none_or_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no best/; train there first"):
        checkpoint.read_best(tmp_path / "nothing", {})
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore({}, toy.Batches()) is None
        assert checkpoints.load_best({}) is None
    assert not list(tmp_path.iterdir())


def test_a_save_is_of_its_moment_though_the_step_goes_on(tmp_path: Path) -> None:
    """What is saved in the background is not what later steps write over it."""
    step = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)
    batches, state = toy.Batches(), {"big": jnp.zeros((8, 1 << 16)), "small": jnp.zeros(3)}
    like_state = like(state)
    with checkpoint.Checkpoints(tmp_path, keep=9) as checkpoints:
        for number in range(1, 9):
            state = step(state)
            next(batches)
            if number % 2 == 0:
                checkpoints.save(number, state, batches)
    for number in (8, 6, 4, 2):
        batches = toy.Batches()
        with checkpoint.Checkpoints(tmp_path) as checkpoints:
            found = checkpoints.restore(like_state, batches)
        assert batches.position == number
        assert all(np.all(np.asarray(leaf) == number) for leaf in jax.tree.leaves(found))
        shutil.rmtree(tmp_path / "checkpoints" / str(number))


# ---------------------------------------------------------------- damage


def saved(workdir: Path) -> Path:
    """Checkpoints of steps 5 and 10; the newest one's folder."""
    batches = toy.Batches()
    with checkpoint.Checkpoints(workdir) as checkpoints:
        for step in (5, 10):
            batches.position = step
            checkpoints.save(step, placed(8, 1), batches)
    return workdir / "checkpoints" / "10"


def truncate(folder: Path) -> None:
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-7])


def flip_a_bit(folder: Path) -> None:
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 4
    largest.write_bytes(data)


def lose_a_file(folder: Path) -> None:
    (folder / "state" / "_METADATA").unlink()


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def damage_the_position(folder: Path) -> None:
    (folder / "data" / "process_0-of-1.json").write_text('{"next_ind')


def damage_the_unsealed_state(folder: Path) -> None:
    (folder / seals.NAME).unlink()
    (folder / "state" / "manifest.ocdbt").unlink()


def another_position(folder: Path) -> None:
    (folder / seals.NAME).unlink()
    (folder / "data" / "process_0-of-1.json").write_text('{"next_index": 3}')


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "bytes instead of"),
        (flip_a_bit, "has changed"),
        (lose_a_file, "state/_METADATA is missing"),
        (empty, "it is empty"),
        (damage_the_position, "process_0-of-1.json has 10 bytes instead of 18"),
        (damage_the_unsealed_state, "Error: "),
        (another_position, "Error: "),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_a_damaged_newest_checkpoint_is_set_aside_and_the_one_before_used(
    damage: Callable[[Path], None],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(saved(tmp_path))
    batches = toy.Batches()
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(like(placed(8, 1)), batches)
        batches.position = 15
        checkpoints.save(15, placed(8, 1), batches)
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "cannot be read" in x]
    assert reason in line
    assert "; 5 is used instead, and it is kept as" in line
    jax.tree.map(np.testing.assert_array_equal, restored, tree())
    assert (tmp_path / "damaged" / "checkpoints_10").is_dir()
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["15", "5"]


def test_if_none_can_be_read_it_is_an_error_and_nothing_moves(tmp_path: Path) -> None:
    newest = saved(tmp_path)
    for folder in (newest, newest.with_name("5")):
        empty(folder)
    with (
        checkpoint.Checkpoints(tmp_path) as checkpoints,
        pytest.raises(ValueError, match=r"can be read \(2 tried\); of the newest, 10: it is empty"),
    ):
        checkpoints.restore(like(placed(8, 1)), toy.Batches())
    assert sorted(p.name for p in newest.parent.iterdir()) == ["10", "5"]


def test_a_damaged_best_falls_back_too(tmp_path: Path) -> None:
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        for value in (1.0, 2.0):
            checkpoints.save_best({"value": jnp.full(3, value)})
    lose = tmp_path / "best" / "2" / "best" / "_METADATA"
    lose.unlink()
    read = checkpoint.read_best(tmp_path, {"value": jnp.zeros(3)})
    np.testing.assert_array_equal(read["value"], np.ones(3))
    assert lose.parent.is_dir()  # a reader moves nothing


TWO = """
import sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
port, me, workdir, again = sys.argv[1], int(sys.argv[2]), sys.argv[3], len(sys.argv) > 4
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=me)
import numpy as np
from ofer_jax import checkpoint, sharding
from tests import toy
mesh, batches = sharding.make_mesh(1, 4), toy.Batches()
rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("fsdp"))
def state(step):
    values = np.random.default_rng(0).standard_normal((8, 1 << 14), np.float32)
    values[:, 0] = step
    return sharding.put_global({"a": values}, rows)
def like(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)
with checkpoint.Checkpoints(workdir) as checkpoints:
    if again:
        found = checkpoints.restore(jax.tree.map(like, state(0)), batches)
        best = checkpoints.load_best(jax.tree.map(like, state(0)))
        values = [x.addressable_data(0)[0, 0].item() for x in (found["a"], best["a"])]
        print(values, batches.position)
    else:
        for step in (5, 10):
            batches.position = step
            checkpoints.save_best(state(step))
            checkpoints.save(step, state(step), batches)
"""


def two(root: Path, *words: str) -> list[str]:
    """What each of two processes prints."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    line = [sys.executable, "-c", TWO, port]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": root}
    started = [subprocess.Popen([*line, str(me), *words], **pipes) for me in range(2)]
    try:
        outputs = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    assert not any(p.returncode for p in started), "".join(e[-2000:] for _, e in outputs)
    return [out.splitlines()[-1] if out else "" for out, _ in outputs]


@pytest.mark.slow
def test_two_processes_agree_on_the_checkpoint_to_use(root: Path, tmp_path: Path) -> None:
    two(root, str(tmp_path))
    newest = tmp_path / "checkpoints" / "10"
    assert (newest / seals.NAME).is_file()
    # What process 1 wrote is gone, and no seal tells process 0: it can read its own part.
    shutil.rmtree(newest / "state" / "ocdbt.process_1")
    (newest / seals.NAME).unlink()
    assert two(root, str(tmp_path), "again") == ["[5.0, 10.0] 5"] * 2
    assert (tmp_path / "damaged" / "checkpoints_10").is_dir()

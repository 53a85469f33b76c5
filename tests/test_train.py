"""The loop: it learns, resumes bit for bit, stops on SIGTERM, and lowers for other platforms."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from ofer_jax import best, checkpoint, optim, state, stopping, train, writers
from ofer_jax import pictures as illustrations
from ofer_jax.tasks import conditioning
from tests import toy

TASKS = sorted(train.TASKS)


def run(
    workdir: Path,
    task: str,
    batches: Any = None,
    evaluate: train.Evaluator | None = None,
    pictures: bool = False,
    pretrained: Any = None,
    looked_at: bool = False,
    **changes: Any,
) -> state.TrainState:
    config = (toy.picture_training if pictures else toy.config)(task)
    constants, size = toy.constants(task), config.input.batch_size
    config.update(changes)
    held_out = toy.arrays(8 if pictures else 64, pictures)
    given: dict[str, Any] = {"pretrained": pretrained}
    if looked_at:
        surface = {"region_face": toy.REGION, "region_front": toy.REGION}
        drawn = illustrations.make(config, toy.head(), surface, constants, held_out)
        given |= {"illustrate": drawn, "profile": 1}
    return train.train(
        config,
        workdir,
        batches or toy.Batches(size, pictures=pictures),
        {"valid": evaluate or train.make_evaluator(config, constants, held_out, 2)},
        constants=constants,
        writer=writers.Writer(workdir, task, 10),
        **given,
    )


def assert_same(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(a), jax.device_get(b))


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_falls(task: str, tmp_path: Path) -> None:
    lengths = {"total_steps": 120, "eval_steps": 8, "log_steps": 120, "ckpt_steps": 120}
    rate = 3e-3 if task == "idrank" else 1e-2  # faster, its scores may all become the same
    run(tmp_path, task, **lengths, optim={"learning_rate": rate})
    losses = [m["valid/loss"] for m in toy.metrics(tmp_path) if "valid/loss" in m]
    assert min(losses[-3:]) < 0.995 * losses[0]


class Interrupting(toy.Batches):
    """Sends this process SIGTERM while it gives batch `at`."""

    def __init__(self, at: int, **options: Any) -> None:
        super().__init__(**options)
        self.at = at

    def __next__(self) -> dict[str, np.ndarray]:
        if self.position == self.at:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__next__()


class Crashing(toy.Batches):
    """Raises at batch 13 instead."""

    def __next__(self) -> dict[str, np.ndarray]:
        if self.position == 13:
            raise RuntimeError("the machine went away")
        return super().__next__()


def test_a_stopped_and_a_killed_run_go_on_bit_for_bit(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", "idgen")
    with pytest.raises(stopping.Stopped, match="step 7 is saved"):
        run(tmp_path / "parts", "idgen", Interrupting(at=6))
    with pytest.raises(RuntimeError, match="went away"):
        run(tmp_path / "parts", "idgen", Crashing())
    resumed = run(tmp_path / "parts", "idgen")
    assert_same(whole, resumed)
    assert toy.metrics(tmp_path / "whole") == toy.metrics(tmp_path / "parts")


def test_pictures_and_a_trace_change_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = run(tmp_path / "plain", "idgen")
    looked_at = run(tmp_path / "looked_at", "idgen", looked_at=True, picture_steps=8)
    assert "trace of steps 4 to 4" in capsys.readouterr().err
    assert_same(plain, looked_at)
    assert toy.metrics(tmp_path / "plain") == toy.metrics(tmp_path / "looked_at")
    left = {path.name for path in (tmp_path / "looked_at" / "pictures").iterdir()}
    assert left == {"8.png", "16.png", "20.png"}
    assert list((tmp_path / "looked_at" / "profile").rglob("perfetto_trace.json.gz"))
    assert not (tmp_path / "plain" / "pictures").exists()
    assert not (tmp_path / "plain" / "profile").exists()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["idrank", "expgen"])
def test_the_other_tasks_go_on_bit_for_bit(task: str, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", task)
    with pytest.raises(stopping.Stopped):
        run(tmp_path / "parts", task, Interrupting(at=11))
    assert_same(whole, run(tmp_path / "parts", task))
    assert toy.metrics(tmp_path / "whole") == toy.metrics(tmp_path / "parts")


# ---------------------------------------------------------------- encoders


SHORT = {"total_steps": 8, "eval_steps": 4, "ckpt_steps": 4}


@pytest.mark.slow
def test_a_run_with_encoders_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", "expgen", pictures=True, **SHORT)
    batches = Interrupting(at=5, size=8, pictures=True)
    with pytest.raises(stopping.Stopped, match="step 6 is saved"):
        run(tmp_path / "parts", "expgen", batches, pictures=True, **SHORT)
    resumed = run(tmp_path / "parts", "expgen", pictures=True, **SHORT)
    assert_same(whole, resumed)
    assert toy.metrics(tmp_path / "whole") == toy.metrics(tmp_path / "parts")
    found = checkpoint.read_best(
        tmp_path / "parts", best.layout(train.TASKS["expgen"].BEST, whole.params)
    )
    assert set(found["params"]["encoder"]["arcface"]) == {"params", "batch_stats"}


@pytest.mark.slow
def test_a_step_moves_only_what_may_move(tmp_path: Path) -> None:
    """From given weights: frozen stages and their statistics keep every bit."""
    rng, model = np.random.default_rng(0), toy.picture_config("idgen")
    shapes = jax.eval_shape(lambda key: conditioning.init(model, key), jax.random.key(0))
    given = jax.tree.map(lambda x: rng.uniform(0.05, 0.2, x.shape).astype("f4"), shapes)
    last = run(
        tmp_path,
        "idgen",
        evaluate=lambda params: {"loss": 1.0},
        pictures=True,
        pretrained={"encoder": given},
        total_steps=2,
    )
    for params in (last.params, last.ema_params):
        found = jax.tree.map(np.array_equal, jax.device_get(params["encoder"]), given)["arcface"]
        kept = {
            kind: {name for name, leaves in found[kind].items() if all(jax.tree.leaves(leaves))}
            for kind in ("params", "batch_stats")
        }
        still = {"norm", "stage_1_0", "stage_2_0", "stage_3_0"}
        assert kept == {"params": still | {"conv", "prelu"}, "batch_stats": still}
        assert not any(jax.tree.leaves(found["batch_stats"]["features"]))


def test_pretrained_params_that_do_not_fit_are_an_error(tmp_path: Path) -> None:
    wrong = {"encoder": {"mlp": {"out": {"bias": np.zeros(3, "f4")}}}}
    with pytest.raises(ValueError, match=r"params/encoder/mlp/out/bias is \(8,\), and \(3,\) was"):
        run(tmp_path, "expgen", pretrained=wrong)
    with pytest.raises(ValueError, match="params/encoder has no arcface, only mlp, norm"):
        run(tmp_path, "expgen", pretrained={"encoder": {"arcface": {}}})


def test_each_part_is_kept_from_its_own_best_and_patience_ends_the_run(tmp_path: Path) -> None:
    seen: list[Any] = []
    scores = [(3.0, 1.0), (1.0, 2.0), (2.0, 0.5), (4.0, 4.0), (1.0, 0.5), (9.0, 9.0)]

    def evaluate(params: Any) -> Mapping[str, float]:
        seen.append(jax.tree.map(np.array, params))
        return dict(zip(("loss", "regressor_loss"), scores[len(seen) - 1], strict=True))

    for _ in range(2):  # a run that is over stays so when it is started again
        last = run(tmp_path, "idgen", evaluate=evaluate, patience_steps=10, total_steps=40)
        assert int(last.step) == 25
        assert len(seen) == 5
    layout = best.layout(train.TASKS["idgen"].BEST, seen[0])
    found = checkpoint.read_best(tmp_path, layout)
    assert {k: int(v) for k, v in found["steps"].items()} == {"loss": 10, "regressor_loss": 15}
    assert_same(found["params"]["net"], seen[1]["net"])
    assert_same(found["params"]["encoder"], seen[1]["encoder"])
    assert_same(found["params"]["regressor"], seen[2]["regressor"])


@pytest.mark.parametrize("task", TASKS)
def test_the_train_step_lowers_for_tpu_and_cuda(task: str) -> None:
    config, constants = toy.config(task), toy.constants(task)
    model, made = config.model.to_dict(), train.TASKS[task]
    tx = optim.make(config.optim, 20, made.frozen(model))

    def init(key: jax.Array) -> state.TrainState:
        return state.create(made.init(model, key, constants), tx)

    before = jax.eval_shape(init, jax.random.key(0))
    step = jax.jit(train.make_train_step(made, model, tx, 0.99), donate_argnums=0)
    batch = next(toy.Batches())
    batch["index"] = batch["index"].astype(np.uint32)
    exported = jax.export.export(step, platforms=["tpu", "cuda"])(
        before, batch, jax.random.key(0), constants
    )
    assert exported.platforms == ("tpu", "cuda")

"""The loop: it learns, resumes bit for bit, stops on SIGTERM, and lowers for other platforms."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from ofer_jax import optim, state, train, writers
from tests import toy

TASKS = sorted(train.TASKS)


def run(workdir: Path, task: str, batches: Any = None, **changes: Any) -> state.TrainState:
    config = toy.config(task)
    config.update(changes)
    held_out = {"valid": train.make_evaluator(config, toy.constants(task), toy.arrays(32), 2)}
    writer = writers.Writer(workdir, task, 10)
    batches = batches or toy.Batches()
    constants = toy.constants(task)
    return train.train(config, workdir, batches, held_out, constants=constants, writer=writer)


def assert_same(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(a), jax.device_get(b))


@pytest.mark.parametrize("task", TASKS)
def test_the_held_out_loss_falls(task: str, tmp_path: Path) -> None:
    optim = {"learning_rate": 1e-2}
    run(tmp_path, task, total_steps=100, eval_steps=50, log_steps=50, ckpt_steps=100, optim=optim)
    losses = [m["valid/loss"] for m in toy.metrics(tmp_path) if "valid/loss" in m]
    first = run_evaluation_of_start(task)
    assert losses[-1] < 0.97 * first


def run_evaluation_of_start(task: str) -> float:
    config, constants = toy.config(task), toy.constants(task)
    params = train.TASKS[task].init(config.model.to_dict(), jax.random.key(1), constants)
    return train.make_evaluator(config, constants, toy.arrays(32), 2)(params)["loss"]


class Interrupting(toy.Batches):
    """Sends this process SIGTERM while it gives batch `at`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def __next__(self) -> dict[str, np.ndarray]:
        if self.position == self.at:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().__next__()


class Crashing(Interrupting):
    """Raises instead."""

    def __next__(self) -> dict[str, np.ndarray]:
        if self.position == self.at:
            raise RuntimeError("the machine went away")
        return toy.Batches.__next__(self)


@pytest.mark.parametrize("task", TASKS)
def test_a_stopped_run_goes_on_bit_for_bit(task: str, tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", task)
    stopped = run(tmp_path / "parts", task, Interrupting(at=6))
    assert int(stopped.step) == 7
    resumed = run(tmp_path / "parts", task)
    assert_same(whole, resumed)
    assert toy.metrics(tmp_path / "whole") == toy.metrics(tmp_path / "parts")


def test_a_killed_run_repeats_from_its_checkpoint(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", "idgen")
    with pytest.raises(RuntimeError, match="went away"):
        run(tmp_path / "parts", "idgen", Crashing(at=13))
    resumed = run(tmp_path / "parts", "idgen")
    assert_same(whole, resumed)
    assert toy.metrics(tmp_path / "whole") == toy.metrics(tmp_path / "parts")


def test_the_best_params_are_those_of_the_best_evaluation(tmp_path: Path) -> None:
    from ofer_jax import checkpoint

    seen: list[Any] = []

    def evaluate(params: Any) -> Mapping[str, float]:
        seen.append(jax.tree.map(np.array, params))
        scores = [(3.0, 1.0), (1.0, 2.0), (2.0, 0.5), (4.0, 4.0)]
        return dict(zip(("loss", "regressor_loss"), scores[len(seen) - 1], strict=True))

    config, constants = toy.config("idgen"), toy.constants("idgen")
    train.train(
        config,
        tmp_path,
        toy.Batches(),
        {"valid": evaluate},
        constants=constants,
        writer=writers.Silent(),
    )
    layout = train.best_layout(train.TASKS["idgen"].BEST, seen[0])
    best = checkpoint.read_best(tmp_path, layout)
    assert {k: int(v) for k, v in best["steps"].items()} == {"loss": 10, "regressor_loss": 15}
    assert_same(best["params"]["net"], seen[1]["net"])
    assert_same(best["params"]["encoder"], seen[1]["encoder"])
    assert_same(best["params"]["regressor"], seen[2]["regressor"])


def test_patience_ends_a_run_that_no_longer_gets_better(tmp_path: Path) -> None:
    config = toy.config("expgen", 50)
    config.patience_steps = 10
    last = train.train(
        config,
        tmp_path,
        toy.Batches(),
        {"valid": lambda params: {"loss": 1.0}},
        constants=toy.constants("expgen"),
        writer=writers.Silent(),
    )
    assert int(last.step) == 15


@pytest.mark.parametrize("task", TASKS)
def test_the_train_step_lowers_for_tpu_and_cuda(task: str) -> None:
    config, constants = toy.config(task), toy.constants(task)
    model, made = config.model.to_dict(), train.TASKS[task]
    tx = optim.make(config.optim, 20, made.FROZEN)
    before = state.create(made.init(model, jax.random.key(0), constants), tx)
    step = jax.jit(train.make_train_step(made, model, tx, 0.99), donate_argnums=0)
    batch = next(toy.Batches())
    batch["index"] = batch["index"].astype(np.uint32)
    exported = jax.export.export(step, platforms=["tpu", "cuda"])(
        before, batch, jax.random.key(0), constants
    )
    assert exported.platforms == ("tpu", "cuda")

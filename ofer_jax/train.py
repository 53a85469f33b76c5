"""The training loop of the three tasks.

One step: gradients of the task's loss on a batch that is split over the devices, an AdamW step, an
averaged copy of the params. Every `eval_steps` the averaged params are judged on held-out data, and
each part of them is kept from where it did best: over-fitting is the main danger here.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax.experimental import multihost_utils

from ofer_jax import optim, sharding
from ofer_jax import state as state_lib
from ofer_jax.arrays import Array, Key
from ofer_jax.checkpoint import Checkpoints
from ofer_jax.state import TrainState
from ofer_jax.tasks import expgen, idgen, idrank

TASKS = {"idgen": idgen, "idrank": idrank, "expgen": expgen}
Evaluator = Callable[[Any], Mapping[str, float]]


class Writer(Protocol):
    """What the loop tells of itself; see `ofer_jax.writers`."""

    def open(self, start: int, total: int) -> None: ...

    def scalars(self, step: int, values: Mapping[str, Any]) -> None: ...

    def progress(self, step: int) -> None: ...

    def close(self) -> None: ...


def train(
    config: Any,
    workdir: str | Path,
    train_iter: Iterator[Mapping[str, Any]],
    evaluators: Mapping[str, Evaluator],
    *,
    constants: Mapping[str, np.ndarray],
    writer: Writer,
    pretrained: Mapping[str, Any] | None = None,
) -> TrainState:
    """Train until `config.total_steps`, going on from the newest checkpoint in `workdir`.

    Args:
      config: task, model (the task's config), seed, optim, mesh (data, fsdp, rules), ema_decay,
        total_steps, log_steps, eval_steps, ckpt_steps, patience_steps (0: never stop early), keep.
      workdir: of checkpoints.
      train_iter: gives this process's rows of each batch; has get_state and set_state.
      evaluators: averaged params -> figures; those of 'valid' choose what is kept as best.
      constants: of the task, see its `constants`.
      writer: of metrics and progress.
      pretrained: a partial tree of params (numpy arrays), as {'encoder': {'arcface': ...}}, that
        takes the place of fresh values at the start of a new run.

    Returns:
      The last state. SIGTERM saves and returns early.

    Raises:
      ValueError: for a config that does not fit, before any step is taken.
    """
    task, model = TASKS[config.task], config.model.to_dict()
    mesh = sharding.make_mesh(config.mesh.data, config.mesh.fsdp)
    by_batch, everywhere = sharding.of_batch(mesh), sharding.replicated(mesh)
    constants = sharding.put_global(dict(constants), everywhere)
    key = jax.random.key(config.seed)
    tx = optim.make(config.optim, config.total_steps, task.frozen(model))

    def init(key: Key[Array, ""], constants: Any) -> TrainState:
        return state_lib.create(task.init(model, key, constants), tx)

    abstract = jax.eval_shape(init, key, constants)
    layout = sharding.of_tree(abstract, mesh, config.mesh.rules)
    abstract = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, layout
    )
    state_lib.overlay(abstract.params, pretrained or {})  # refuse what does not fit
    train_step = jax.jit(
        make_train_step(task, model, tx, config.ema_decay),
        in_shardings=(layout, by_batch, everywhere, everywhere),
        out_shardings=(layout, everywhere),
        donate_argnums=0,
    )

    with Checkpoints(workdir, config.keep) as checkpoints, _Stop() as stop, closing(writer):
        if checkpoints.latest is None:
            state = jax.jit(init, out_shardings=layout, compiler_options=_quick())(
                jax.random.fold_in(key, 2**31), constants
            )
            state = state_lib.start_from(state, pretrained or {})
        else:
            state = checkpoints.restore(abstract, train_iter)
        best = _Best(task.BEST, checkpoints, abstract.ema_params)
        start = int(state.step)
        writer.open(start, config.total_steps)
        late = None
        for step in range(start + 1, config.total_steps + 1):
            batch = sharding.put_batch(next(train_iter), by_batch)
            state, metrics = train_step(state, batch, key, constants)
            # Figures are fetched a step late: waiting for them now would leave the device idle.
            if late is not None:
                writer.scalars(*late)
            late = (step, metrics) if step % config.log_steps == 0 else None
            writer.progress(step)

            last = step == config.total_steps
            if step % config.eval_steps == 0 or last:
                for name, evaluate in evaluators.items():
                    figures = evaluate(state.ema_params)
                    writer.scalars(step, {f"{name}/{k}": v for k, v in figures.items()})
                    if name == "valid":
                        best.update(step, state.ema_params, figures)
                last |= best.stale(step, config.patience_steps)
            stopping = stop.agreed(step, config.log_steps)
            if step % config.ckpt_steps == 0 or last or stopping:
                checkpoints.save(step, state, train_iter)
            if last or stopping:
                break
        if late is not None:
            writer.scalars(*late)
    return state


def _quick() -> dict[str, int] | None:
    """Compiler options for what runs once or seldom: on a CPU, compiling takes the longest."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


def make_train_step(
    task: Any, model: Mapping[str, Any], tx: Any, ema_decay: float
) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
    """The step of a task, to be jitted: (state, batch, key, constants) -> (state, metrics)."""

    def train_step(
        state: TrainState, batch: dict[str, Array], key: Key[Array, ""], constants: Any
    ) -> tuple[TrainState, dict[str, Array]]:
        step_key = jax.random.fold_in(key, state.step)

        def loss_fn(params: Any) -> tuple[Array, tuple[dict[str, Array], Any]]:
            return task.loss_fn(model, params, constants, batch, step_key)

        (loss, (metrics, moved)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        return state_lib.apply_gradients(state, grads, tx, ema_decay, loss, moved), metrics

    return train_step


def make_evaluator(
    config: Any,
    constants: Mapping[str, np.ndarray],
    arrays: Mapping[str, Any],
    repeats: int = 4,
) -> Evaluator:
    """Held-out figures of averaged params: means of the task's metrics without dropout, over the
    rows of `arrays` (as a batch's; the rest of the last batch is left out), each with `repeats`
    draws of step and noise that are the same at every call."""
    task, model = TASKS[config.task], config.model.to_dict()
    mesh = sharding.make_mesh(config.mesh.data, config.mesh.fsdp)
    by_batch, everywhere = sharding.of_batch(mesh), sharding.replicated(mesh)
    constants = sharding.put_global(dict(constants), everywhere)
    count = len(arrays["index"])
    size = min(config.input.batch_size, count // mesh.size * mesh.size)
    if size == 0:
        raise ValueError(f"{count} held-out examples are too few for {mesh.size} devices")

    @jax.jit
    def figures(params: Any, batch: Any, key: Key[Array, ""], constants: Any) -> dict[str, Array]:
        return task.loss_fn(model, params, constants, batch, key, train=False)[1][0]

    def evaluate(params: Any) -> dict[str, float]:
        found = []
        for start in range(0, count - size + 1, size):
            rows = slice(start, start + size)
            some = jax.tree.map(lambda a, rows=rows: np.asarray(a[rows]), arrays)
            batch = sharding.put_global(some, by_batch)
            for repeat in range(repeats):
                found.append(figures(params, batch, jax.random.key(repeat), constants))
        found = jax.device_get(found)
        return {name: float(np.mean([f[name] for f in found])) for name in found[0]}

    return evaluate


class _Best:
    """Each part of the averaged params from where its own held-out figure was smallest.

    `tree` = {'params', 'values': {figure: value}, 'steps': {figure: step}} is saved whenever it
    changes; a resumed run reads it, and repeats of evaluations change nothing.
    """

    def __init__(self, parts: Mapping[str, Any], checkpoints: Checkpoints, abstract: Any) -> None:
        self.parts, self.checkpoints = parts, checkpoints
        self.tree: Any = checkpoints.load_best(best_layout(parts, abstract))

    def update(self, step: int, params: Any, figures: Mapping[str, float]) -> None:
        """Take over what is better than before and save."""
        names = [n for n in self.parts if n in figures]
        if self.tree is None:
            values = {n: np.array(np.inf) for n in self.parts}
            steps = {n: np.array(0) for n in self.parts}
            self.tree = {"params": dict(params), "values": values, "steps": steps}
        better = [n for n in names if figures[n] < self.tree["values"][n]]
        if not better:
            return
        for name in better:
            self.tree["values"][name] = np.array(figures[name])
            self.tree["steps"][name] = np.array(step)
            self.tree["params"] |= {part: params[part] for part in self.parts[name]}
        # The live params' buffers are given away at the next step, so what is kept is a copy.
        self.tree["params"] = jax.tree.map(lambda x: x.copy(), self.tree["params"])
        self.checkpoints.save_best(step, self.tree)

    def stale(self, step: int, patience: int) -> bool:
        """Whether nothing got better for `patience` steps."""
        return bool(patience) and step - max(map(int, self.tree["steps"].values())) >= patience


def best_layout(parts: Mapping[str, Any], abstract_params: Any) -> dict[str, Any]:
    """The shapes of what is saved as best."""
    return {
        "params": dict(abstract_params),
        "values": {n: np.array(0.0) for n in parts},
        "steps": {n: np.array(0) for n in parts},
    }


class _Stop:
    """Notices SIGTERM, so that the loop can save and leave at the end of a step."""

    def __enter__(self) -> "_Stop":
        self.asked, self._before = False, None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_: object) -> None:
        self.asked = True

    def agreed(self, step: int, every: int) -> bool:
        """Whether to stop after `step`; several processes settle it together each `every` steps."""
        if jax.process_count() == 1:
            return self.asked
        if step % every:
            return False
        return bool(np.any(multihost_utils.process_allgather(np.array(self.asked))))

"""The training loop of the three tasks.

One step: gradients of the task's loss on a batch that is split over the devices, an AdamW step, an
averaged copy of the params. Every `eval_steps` the averaged params are judged on held-out data, and
each part of them is kept from where it did best: over-fitting is the main danger here.
"""

import functools
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from ofer_jax import gradients, nonfinite, optim, profiling, sharding
from ofer_jax import state as state_lib
from ofer_jax.arrays import Array, Key
from ofer_jax.best import Best
from ofer_jax.checkpoint import Checkpoints
from ofer_jax.state import TrainState
from ofer_jax.stopping import Stop, Stopped
from ofer_jax.tasks import expgen, idgen, idrank

TASKS = {"idgen": idgen, "idrank": idrank, "expgen": expgen}
AHEAD = 2  # steps that the device may be behind the host, so that neither waits for the other
Evaluator = Callable[[Any], Mapping[str, float]]


class Writer(Protocol):
    """What the loop tells of itself; see `ofer_jax.writers`."""

    def open(self, start: int, total: int) -> None: ...

    def scalars(self, step: int, values: Mapping[str, Any]) -> None: ...

    def picture(self, step: int, picture: np.ndarray | None) -> None: ...

    def flush(self) -> None: ...

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
    illustrate: Callable[[Any], np.ndarray | None] | None = None,
    profile: int = 0,
) -> TrainState:
    """Train until `config.total_steps`, going on from the newest checkpoint in `workdir`.

    Args:
      config: task, model (the task's config), seed, optim, mesh (data, fsdp, rules), ema_decay,
        total_steps, log_steps, eval_steps, ckpt_steps, picture_steps, patience_steps (0:
        never stop early), keep.
      workdir: of checkpoints.
      train_iter: gives this process's rows of each batch; has get_state and set_state.
      evaluators: averaged params -> figures; those of 'valid' choose what is kept as best.
      constants: of the task, see its `constants`.
      writer: of metrics and progress.
      pretrained: a partial tree of params (numpy arrays), as {'encoder': {'arcface': ...}}, that
        takes the place of fresh values at the start of a new run.
      illustrate: averaged params -> a picture, for the writer; called on every process.
      profile: steps to trace into WORKDIR/profile, after a warm-up (`profiling`).

    Returns:
      The last state.

    Raises:
      Stopped: the run was told to stop, and has saved.
      FloatingPointError: a loss or a gradient is not finite; WORKDIR/nonfinite tells of it.
      ValueError: for a config that does not fit, before any step is taken.
    """
    task, model = TASKS[config.task], training_model(config)
    run = program(config, constants)
    by_batch, everywhere = sharding.of_batch(run.mesh), sharding.replicated(run.mesh)
    constants = sharding.put_global(dict(constants), everywhere)
    key = jax.random.key(config.seed)
    state_lib.overlay(run.abstract.params, pretrained or {})  # refuse what does not fit
    if jax.process_index() == 0:
        print(sharding.told(run.abstract), file=sys.stderr)
    taken, stopping = deque[tuple[int, Any, dict[str, Any]]](), False

    def settle(state: TrainState, steps: int) -> None:
        """Look at the figures of all steps taken but the last `steps`, which waits for them."""
        while len(taken) > steps:
            step, batch, metrics = taken.popleft()
            if not metrics.pop("finite"):
                loss_fn = functools.partial(task.loss_fn, model)
                step_key = jax.random.fold_in(key, step - 1)
                raise nonfinite.explained(
                    workdir, step, metrics, batch, loss_fn, state.params, constants, step_key
                )
            if step % config.log_steps == 0:
                writer.scalars(step, metrics)

    with (
        Stop() as stop,
        Checkpoints(workdir, config.keep) as checkpoints,
        closing(writer),
        profiling.Trace(Path(workdir) / "profile", profile) as trace,
    ):
        state = checkpoints.restore(run.abstract, train_iter)
        if state is None:
            state = run.start(jax.random.fold_in(key, 2**31), constants)
            state = state_lib.start_from(state, pretrained or {})
        best = Best(task.BEST, checkpoints, run.abstract.averaged)
        start = int(state.step)
        writer.open(start, config.total_steps)
        over = start % config.eval_steps == 0 and best.stale(start, config.patience_steps)
        for step in range(start + 1, start + 1 if over else config.total_steps + 1):
            trace.begin(step, state)
            batch = sharding.put_batch(next(train_iter), by_batch)
            state, metrics = run.step(state, batch, key, constants)
            taken.append((step, batch, metrics))
            # Figures are fetched late: waiting for them now would leave the device idle.
            settle(state, AHEAD)
            writer.progress(step)

            last = step == config.total_steps
            if step % config.eval_steps == 0 or last:
                settle(state, 0)
                for name, evaluate in evaluators.items():
                    figures = evaluate(state.averaged)
                    writer.scalars(step, {f"{name}/{k}": v for k, v in figures.items()})
                    if name == "valid":
                        best.update(step, state.averaged, figures)
                last |= best.stale(step, config.patience_steps)
            if illustrate and (last or step % config.picture_steps == 0):
                settle(state, 0)
                writer.picture(step, illustrate(state.averaged))
            stopping = stop.agreed(step) and not last
            if step % config.ckpt_steps == 0 or last or stopping:
                settle(state, 0)
                writer.flush()  # a checkpoint has to find the metrics up to its step on disk
                checkpoints.save(step, state, train_iter)
            if last or stopping:
                break
    if stopping:
        raise Stopped(f"told to stop; step {int(state.step)} is saved")
    return state


@dataclass(frozen=True)
class Program:
    """What a run compiles; made of shapes alone, so nothing is allocated."""

    mesh: Mesh
    abstract: TrainState  # shapes, with shardings
    start: Any  # jitted: (key, constants) -> the first state
    step: Any  # jitted: (state, batch, key, constants) -> (state, metrics)


def program(config: Any, constants: Mapping[str, Any]) -> Program:
    """The step of a config and what goes with it; `constants` are arrays or shapes.

    Raises:
      ValueError: for a config that does not fit.
    """
    task, model = TASKS[config.task], training_model(config)
    mesh = sharding.mesh_of(config.mesh)
    by_batch, everywhere = sharding.of_batch(mesh), sharding.replicated(mesh)
    gradients.check(config.input.batch_size, mesh.size, config.optim.get("accumulate", 1))
    tx = optim.make(config.optim, config.total_steps, task.frozen(model))

    def init(key: Key[Array, ""], constants: Any) -> TrainState:
        return state_lib.create(task.init(model, key, constants), tx, config.ema_decay)

    abstract = jax.eval_shape(init, jax.random.key(0), constants)
    layout = sharding.of_tree(abstract, mesh, sharding.rules_of(config.mesh))
    step = jax.jit(
        make_train_step(
            task, model, tx, config.ema_decay, layout.params, config.optim, config.log_steps
        ),
        in_shardings=(layout, by_batch, everywhere, everywhere),
        out_shardings=(layout, everywhere),
        # A CPU copies what it still needs of a state given away: as much memory, a slower step.
        donate_argnums=() if jax.default_backend() == "cpu" else 0,
    )
    abstract = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, layout
    )
    start = jax.jit(init, out_shardings=layout, compiler_options=quick())
    return Program(mesh, abstract, start, step)


def training_model(config: Any) -> dict[str, Any]:
    """The task's config with the type that training computes in, which evaluation and bundles do
    not take over."""
    return {**config.model.to_dict(), "compute_dtype": config.get("compute_dtype", "float32")}


def quick() -> dict[str, int] | None:
    """Compiler options for what runs once or seldom: on a CPU, compiling takes the longest."""
    return {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None


def make_train_step(
    task: Any,
    model: Mapping[str, Any],
    tx: Any,
    ema_decay: float,
    layout: Any = None,
    optim_config: Mapping[str, Any] | None = None,
    log_steps: int = 1,
) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
    """The step of a task, to be jitted: (state, batch, key, constants) -> (state, metrics); with
    `layout`, the shardings of the params, for a mesh of devices; with `optim_config`, in its
    microbatches. Beside the task's metrics there are norms (`state.apply_gradients`, and every
    `log_steps` or where something is not finite `state.change`) and 'finite': where it is False the
    state is marked broken, and else stays as it was."""

    def loss_fn(params: Any, batch: Any, key: Key[Array, ""], constants: Any) -> Any:
        return task.loss_fn(model, params, constants, batch, key)

    settings = optim_config or {}
    factors = optim.factors(settings, task.frozen(model))
    of_rows = gradients.of_loss(loss_fn, factors, settings.get("accumulate", 1))
    of_batch = sharding.spread(of_rows, layout, factors)

    def train_step(
        state: TrainState, batch: dict[str, Array], key: Key[Array, ""], constants: Any
    ) -> tuple[TrainState, dict[str, Array]]:
        step_key = jax.random.fold_in(key, state.step)
        (loss, (metrics, moved)), grads = of_batch(state.params, batch, step_key, constants)
        after, norms = state_lib.apply_gradients(state, grads, tx, ema_decay, loss, moved)
        after, finite = nonfinite.guarded(state, after, loss, norms["norm/grad"])
        wanted = ~finite | ((state.step + 1) % log_steps == 0)
        norms |= state_lib.change(state.params, after.params, wanted)
        return after, {**metrics, **norms, "finite": finite}

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
    mesh = sharding.mesh_of(config.mesh)
    by_batch, everywhere = sharding.of_batch(mesh), sharding.replicated(mesh)
    constants = sharding.put_global(dict(constants), everywhere)
    count = len(arrays["index"])
    size = min(config.input.batch_size, count // mesh.size * mesh.size)
    if size == 0:
        raise ValueError(f"{count} held-out examples are too few for {mesh.size} devices")

    @jax.jit
    def figures(params: Any, batch: Any, key: Key[Array, ""], constants: Any) -> dict[str, Array]:
        params = sharding.gathered(params, mesh)
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

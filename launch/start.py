"""What a run tells of itself before its first step."""

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from launch import inputs, record
from ofer_jax import inspection, optim, train, writers


def tell(
    config: Any,
    workdir: Path,
    head: Any,
    meta: Any,
    files: Mapping[str, str | None],
    constants: Mapping[str, Any],
) -> train.Writer:
    """Write the run's record and print its parameters; on the first process alone.

    Args:
      config: of the run.
      workdir: of the run.
      head: the head and its surface.
      meta: of the data set.
      files: of the published encoders.
      constants: of the task.

    Returns:
      The writer of the run's figures.
    """
    if jax.process_index() != 0:
        return writers.Silent()
    record.write(config, workdir, head, meta, inputs.told(files))
    task, model = train.TASKS[config.task], config.model.to_dict()
    params = jax.eval_shape(functools.partial(task.init, model), jax.random.key(0), constants)
    factors = optim.labels(params, optim.factors(config.optim, task.frozen(model)))
    print(inspection.table(params, factors, config.optim.learning_rate), file=sys.stderr)
    return writers.Writer(workdir, config.task, config.log_steps)

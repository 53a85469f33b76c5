"""How fast training batches are read: from features, or from pictures that are decoded and hidden.

What others do to the machine slows the rate; the processor's time that an example takes tells what
it would be alone.
"""

import time
from typing import Any

from ml_collections import ConfigDict

from data_pipelines import input as pipeline

SHARES = (0.0, 0.5, 1.0)  # of hidden faces
WARM_UP = 4  # batches before the clock starts: workers start, files are opened


def run(
    directories: str, features: str, batch_sizes: list[int], steps: int, workers: int
) -> list[dict[str, Any]]:
    """A row for each batch size and share of hidden faces.

    Args:
      directories: as `input.dir` of a config.
      features: as `make_train_iter` takes them.
      batch_sizes: examples a step; 0 for 64.
      steps: that are timed.
      workers: processes that read ahead.
    """
    rows = []
    for size in batch_sizes:
        for share in SHARES:
            fields = {"dir": directories, "batch_size": size or 64, "occluded_share": share}
            rows.append(measured(ConfigDict(fields), features, steps, workers))
    return rows


def measured(config: Any, features: str, steps: int, workers: int) -> dict[str, Any]:
    """Examples a second with workers; and milliseconds of processor time an example in one
    process, pickled batches and their way from the workers not counted."""
    examples = steps * config.batch_size
    _, busy = timed(config, features, steps, 0)
    seconds, _ = timed(config, features, steps, workers)
    return {
        "features": features,
        "batch": config.batch_size,
        "hidden": config.occluded_share,
        "workers": workers,
        "examples_per_s": examples / seconds,
        "cpu_ms_an_example": 1e3 * busy / examples,
    }


def timed(config: Any, features: str, steps: int, workers: int) -> tuple[float, float]:
    """(seconds, seconds of this process on a processor) of some batches."""
    options = ConfigDict({**config.to_dict(), "workers": workers})
    iterator = pipeline.make_train_iter(options, seed=0, features=features)
    # What workers had made before the clock started must not count: all that is in flight, twice.
    for _ in range(WARM_UP * max(1, workers)):
        next(iterator)
    begun, busy = time.perf_counter(), time.process_time()
    for _ in range(steps):
        next(iterator)
    found = time.perf_counter() - begun, time.process_time() - busy
    iterator.close()
    return found

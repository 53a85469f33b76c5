"""An ordered map over single-threaded worker processes.

Results come back in the order of the items, so what is written does not depend on how many workers
there are. Workers are spawned, not forked: JAX holds threads, and a fork of those may hang. Each
keeps to one thread and to the CPU: N workers use N cores and none takes the accelerator.
"""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import jax

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "1",  # XLA's; its flags would do as well but make other programs to compile and keep
    "JAX_PLATFORMS": "cpu",
}


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Sets environment variables for the block (a spawned process inherits them at its start)."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def kept_programs() -> dict[str, str]:
    """Lets workers share this process's folder of compiled programs, if it has one."""
    folder = jax.config.jax_compilation_cache_dir  # pyrefly: ignore  (made at run time)
    if not folder:
        return {}
    return {
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def ordered_map(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int, ahead: int = 32
) -> Generator[Any, None, None]:
    """Yields `function(item)` in the order of `items`, worked out by `workers` processes.

    At most `ahead` items a worker are in flight, so a slow reader bounds the memory. With 0 workers
    the function runs here (tests, debugging). `function` has to be importable by name. An error in
    a worker is raised here; a killed worker raises BrokenProcessPool and never hangs.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}: it has to be 0 (in this process) or more")
    if workers == 0:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context, _leave_with_parent) as pool:
        try:
            yield from _in_order(pool, function, items, ahead * workers)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _leave_with_parent() -> None:
    """Ends this worker when its parent is killed: both ends of its queue are its own, so it would
    wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # it runs in workers only

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_order(
    pool: concurrent.futures.Executor, function: Callable, items: Iterable[Any], window: int
) -> Iterator[Any]:
    pending: collections.deque[concurrent.futures.Future] = collections.deque()
    for item in items:
        with environment(ONE_THREAD | kept_programs()):  # it may start a worker; we go on without
            pending.append(pool.submit(function, item))
        if len(pending) >= window:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()

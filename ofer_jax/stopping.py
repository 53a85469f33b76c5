"""Being told to stop, so that the loop can save and leave at the end of a step.

One process listens for SIGTERM itself. Of several, each may be told, by SIGTERM or by what else
JAX's preemption service understands; the service then names a step that none of them has passed,
within a second or two. Asking it takes microseconds, so that the loop does so at each step.
"""

import signal
import threading

import jax
from jax.experimental import multihost_utils

STATUS = 75  # of the command, EX_TEMPFAIL: told to stop, and saved; start it again


class Stopped(Exception):
    """The run was told to stop. It has saved, and goes on from there when it is started again."""


class Stop:
    """A context manager that notices what asks the run to stop, as often as it is asked."""

    def __enter__(self) -> "Stop":
        self._asked, self._before = False, None
        self._alone = jax.process_count() == 1
        if self._alone and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def agreed(self, step: int) -> bool:
        """Whether to stop after `step`; to be asked at each step, by every process.

        Raises:
          ValueError: there are several processes and JAX's preemption service is switched off.
        """
        if self._alone:
            return self._asked
        try:
            return multihost_utils.reached_preemption_sync_point(step)
        except RuntimeError:
            raise ValueError(
                "several processes can only stop together through JAX's preemption service: "
                "do not switch jax_enable_preemption_service off"
            ) from None

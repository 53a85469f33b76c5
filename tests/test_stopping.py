"""Being told to stop: by SIGTERM, once or more, alone or among several."""

import os
import signal

import jax
import pytest
from jax.experimental import multihost_utils

from ofer_jax import stopping


def test_sigterm_is_noticed_as_often_as_it_comes_and_the_old_handler_returns() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stopping.Stop() as stop:
        assert not stop.agreed(1)
        for step in (2, 3):
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.agreed(step)
    assert signal.getsignal(signal.SIGTERM) is before


def test_several_processes_ask_jax_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "reached_preemption_sync_point", lambda step: step == 5)
    with stopping.Stop() as stop:
        assert signal.getsignal(signal.SIGTERM) is before  # JAX listens, not Python
        assert [step for step in range(9) if stop.agreed(step)] == [5]


def test_several_processes_without_the_service_are_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def without_service(step: int) -> bool:  # what JAX does among processes without it
        raise RuntimeError("Preemption sync manager has not been initialized.")

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "reached_preemption_sync_point", without_service)
    with (
        stopping.Stop() as stop,
        pytest.raises(ValueError, match="do not switch jax_enable_preemption_service off"),
    ):
        stop.agreed(1)

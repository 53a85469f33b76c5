"""What the benchmark tells of a step: times, work, and what each device sends."""

import sys
import time

import jax
import numpy as np
import pytest

from benchmarks import cases, measure, scaling, table
from tests import toy


def case(task: str = "idgen") -> cases.Case:
    config = toy.config(task)
    batch = {name: rows[:16] for name, rows in toy.arrays().items()}
    return cases.Case("toy", config, toy.constants(task), batch)


def test_a_report_tells_of_a_step_that_learns() -> None:
    made = case("expgen")
    row = measure.report(made, steps=10)
    assert (row["task"], row["batch"], row["devices"]) == ("expgen", 16, 8)
    assert row["examples_per_s"] == pytest.approx(16e3 / row["step_ms"])
    assert 0 < row["utilisation"] < 1 and row["flops_a_device"] > 1000
    assert row["peak_bytes"]["process"] > 1e7 and row["planned_bytes"]["argument"] > 1000
    step = measure.Step(made)
    step.waited()
    assert int(step.state.step) == 1 and np.isfinite(step.metrics["loss"])


def test_sides_take_turns() -> None:
    slow = {"a": 0.002, "b": 0.02}
    sides = {name: lambda s=s: time.sleep(s) for name, s in slow.items()}
    found = measure.turns(sides, rounds=3, seconds=0.02)
    assert found["a"].shape == found["b"].shape == found["others"].shape == (3,)
    assert found["b"].min() > 0.02 > found["a"].min() > 0.002


def test_each_device_sends_its_gradients_and_little_else() -> None:
    row = scaling.work(case())
    assert row["devices"] == 8 and set(row["collective_bytes"]) == {"all-reduce"}
    sent, held = row["collective_bytes"]["all-reduce"], row["parameter_bytes"]
    assert held * 0.8 < sent < held * 1.1  # what is frozen is not sent


def test_bytes_of_collectives() -> None:
    text = """
      %all-reduce.1 = (f32[4,3]{1,0}, bf16[8]{0}, pred[]) all-reduce(%a, %b, %c), channel_id=1
      %g = f32[16]{0} all-gather(%d), dimensions={0}
      %add = f32[100]{0} add(%all-reduce.1, %g)
    """
    assert scaling.collective_bytes(text) == {"all-reduce": 48 + 16 + 1, "all-gather": 64}


@pytest.mark.parametrize(
    ("flops", "sent", "said"),
    [
        ([10, 10, 10], [0, 5, 5], ""),
        ([10, 11, 12], [0, 5, 5], "FLOPs"),
        ([9, 9, 9], [0, 5, 9], "bytes"),
    ],
)
def test_work_that_grows_with_the_devices_is_an_error(flops, sent, said) -> None:
    rows = [
        {"devices": count, "flops_a_device": f, "collective_bytes": {"all-reduce": s}}
        for count, f, s in zip((1, 2, 4), flops, sent, strict=True)
    ]
    if not said:
        return scaling.check(rows)
    with pytest.raises(ValueError, match=said):
        scaling.check(rows)


def test_a_table_has_the_columns_of_its_rows() -> None:
    rows = [{"task": "idgen", "size": "paper", "batch": 64, "ratio": 2.5, "ratio_when_quiet": None}]
    head, _, line = table.of(rows).splitlines()
    assert head == "| task | size | batch | ratio |" and line == "| idgen | paper | 64 | 2.50 |"
    assert table.machine()["device"].startswith(f"{jax.device_count()} x ")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os.kill(os.getpid(), 9)", "1 devices: it ended with status -9"),
        ("raise SystemExit('first\\nlast')", "1 devices: last"),
    ],
)
def test_a_process_that_fails_is_one_line(code: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}$"):
        scaling.run([sys.executable, "-S", "-c", code])

"""What `launch.benchmark flame` tells."""

import jax
import pytest

from benchmarks import flame_speed, table


def test_a_row_for_each_side_and_batch():
    with jax.numpy_rank_promotion("allow"):  # body-models, where installed
        rows = flame_speed.run([2], rounds=2)
    sides = {row["side"]: row for row in rows}
    assert {"product", "ours, posed", "ours, gradient", "ours, neutral"} <= sides.keys()
    assert sides["product"]["of_product"] == 1
    posed = sides["ours, posed"]
    assert posed["vertices_per_s"] == pytest.approx(2 * 5023e3 / posed["step_ms"])
    assert "ours, with landmarks" in table.of(rows)

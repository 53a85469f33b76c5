"""`launch.benchmark reconstruct` on small networks (skipped without PyTorch)."""

import jax
import numpy as np
import pytest

from benchmarks import reconstructing, table
from tests import small_published

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install -e '.[torch]'")

PHOTOS = ["launch/demo_photos/astronaut.jpg"]


@pytest.fixture
def small(monkeypatch):
    from benchmarks import torch_procedure

    monkeypatch.setattr(small_published, "HIDDEN", [64, 32])  # groups of two values jump
    small_published.shrink(monkeypatch.setattr)
    for name, value in {"count": 3, "visited": (999, 995, -1), "steps": 3}.items():
        monkeypatch.setattr(torch_procedure.Procedure, name, value)
    for name, value in {"SAMPLES": (1, 3), "STEPS": (3,), "PHOTOGRAPHS": (1, 2)}.items():
        monkeypatch.setattr(reconstructing, name, value)
    monkeypatch.setattr(reconstructing, "FOLDER", 2)
    torch.set_num_threads(1)
    monkeypatch.setattr(reconstructing, "_started", lambda photo, work: 1.0)


@pytest.mark.slow
def test_all_rows(small):
    from benchmarks import torch_reconstructing

    rows = torch_reconstructing.run(PHOTOS, rounds=1)
    ways = {row["side"]: row for row in rows if "total_s" in row}
    assert list(ways) == [
        *("published", "published, bfloat16", "fair", "fair, bfloat16"),
        *("ours", "ours, float32", "ours, three ArcFaces"),
    ]
    assert ways["published"]["times"] == 1
    for row in ways.values():
        stages = sum(row.get(f"{name}_s", 0) for name in (*torch_reconstructing.STAGES, "rest"))
        assert stages == pytest.approx(row["total_s"])
    growth = [row for row in rows if row.get("table") == "Growth with samples"]
    assert [row["samples"] for row in growth] == [1, 3]
    assert all(row["torch_s"] > 0 < row["ours_s"] for row in growth)
    assert table.of(rows).count("\n\n") == 2 * len({row["table"] for row in rows}) - 1


def test_an_unlike_network_is_found_out(small):
    from benchmarks import torch_agreement, torch_reconstructing
    from benchmarks.reconstructing_ours import crops

    sides = torch_reconstructing.Sides()
    with torch.no_grad():
        sides.procedure.nets["idgen"]["net"].init_conv.bias += 0.1
    found = sides.ours.find(reconstructing.views(PHOTOS, 1)[0])[0]
    with pytest.raises(ValueError, match="the two sides differ by"):
        torch_agreement.check(sides.procedure, sides.ours, crops(found))


def test_the_procedure_counts_as_published():
    from benchmarks.torch_procedure import Procedure

    assert (Procedure.count, len(Procedure.visited), Procedure.steps) == (100, 251, 1000)
    assert Procedure.visited[-1] == -1


def test_its_ddim_is_the_official_one(monkeypatch, rng):
    from benchmarks import torch_procedure
    from ofer_jax.diffusion import gaussian, samplers, schedule

    class Half(torch.nn.Module):
        dim = 5

        def forward(self, x, t, context):
            return 0.5 * x

    procedure = object.__new__(torch_procedure.Procedure)
    procedure.nets, procedure.diffusion = {"idgen": {"net": Half()}}, torch_procedure.Diffusion()
    start = rng.standard_normal((2, 5), np.float32)
    monkeypatch.setattr(torch, "randn", lambda *shape: torch.from_numpy(start))
    out = procedure.sample(torch.zeros(1, 1), 2, procedure.visited)
    table = schedule.linear(tables="float32")
    solver = samplers.official_ddim(table)

    def predict(x, i):
        t = jax.numpy.broadcast_to(solver.times[i], x.shape[:1])
        return gaussian.to_x0(table, 0.5 * x, x, t, "eps")

    expected = samplers.sample(solver, predict, jax.random.key(0), (2, 5), noise=start[None])
    np.testing.assert_allclose(out, expected, rtol=1e-3)

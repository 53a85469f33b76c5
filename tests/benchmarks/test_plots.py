"""The picture and the tables of `launch.benchmark reconstruct`."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import table

pytest.importorskip("matplotlib", reason="matplotlib is an extra: pip install -e '.[plots]'")

ROWS = [
    {"table": "One", "side": "published", "encode_s": 30.0, "sample_s": 11.0, "total_s": 41.0},
    {"table": "One", "side": "fair", "encode_s": 0.6, "sample_s": 11.0, "total_s": 11.6},
    {"table": "One", "side": "ours", "encode_s": 0.2, "sample_s": 0.1, "total_s": 0.3},
    {"table": "Growth with samples", "samples": 1, "ours_s": 0.1, "torch_s": 8.0},
    {"table": "Growth with samples", "samples": 1000, "ours_s": 1.0, "torch_s": 90.0},
    {"table": "Growth with steps", "steps": 10, "ours_s": 0.1},
    {"table": "Growth with photographs", "photographs": 4, "ours_s": 1.1},
]


def test_a_picture_is_drawn(tmp_path):
    from benchmarks import plots

    plots.reconstruct(ROWS, tmp_path / "speed.png")
    with Image.open(tmp_path / "speed.png") as image:
        assert image.size == (1320, 770)
        assert len(np.unique(image.convert("L"))) > 20


def test_rows_of_several_tables_are_told_apart():
    text = table.of(ROWS)
    assert text.startswith("One\n\n| way | encode | sample | crops to meshes |")
    assert "Growth with steps\n\n| steps | ours, s |\n| --- | --- |\n| 10 | 0.100 |" in text
    assert table.of([{"task": "fit"}]) == "| task |\n| --- |\n| fit |"

"""What goes from a run into a bundle's record."""

import pytest

from launch import setup


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python -m x --workdir /home/me/runs/a", "python -m x --workdir a"),
        (
            "x --data=/mnt/d/set --config configs/a.py:demo",
            "x --data=set --config configs/a.py:demo",
        ),
        ("x --config.a=1e-3/2 --out ../runs/b", "x --config.a=1e-3/2 --out ../runs/b"),
    ],
)
def test_commands_are_told_without_folders_from_the_root(command, told):
    assert setup.told(command) == told

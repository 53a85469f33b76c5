"""What `launch.sampling` is given: numbers of steps, samplers, a bundle, and held-out pictures."""

from collections.abc import Sequence
from pathlib import Path

from data_pipelines import input as data_input
from launch import setup
from ofer_jax import bundle as bundles
from ofer_jax import flame
from ofer_jax.sampling_draws import FAST, Given


def numbers(told: Sequence[str]) -> list[int]:
    """Numbers of steps, in order; ValueError for anything else."""
    if not told or not all(each.isdecimal() and int(each) > 0 for each in told):
        raise ValueError(f"--steps takes numbers from 1 on, as 10,20,50; got {','.join(told)!r}")
    return sorted({int(each) for each in told})


def given(path: str | Path, data: str, split: str, samplers: Sequence[str]) -> Given:
    """What is compared. Raises ValueError for an unknown sampler, or a bundle and data that do not
    fit."""
    if unknown := [name for name in samplers if name not in FAST]:
        raise ValueError(f"--samplers knows {', '.join(FAST)}; got {unknown[0]!r}")
    head, surface = setup.head_of({"head": bundles.head_path(path) or "open"})
    bundle = bundles.load(path, head)
    features = bundle.task("idgen")[0]["features"]["name"]
    meta = data_input.read_meta(data, split, features)
    if meta["head"]["sha256"] != head.sha256:
        made = flame.title(meta["head"])
        raise ValueError(f"{data} shows the head {made}, not {flame.title(head.identity)}")
    bundles.check_projection(bundle, meta["projection"])
    return Given(bundle, head, surface, data_input.load_split(data, split, features))

"""The two modes, and that they differ in the listed settings only."""

import functools
import json
from typing import Any

import jax
import numpy as np
import pytest

from ofer_jax import published
from ofer_jax.diffusion import schedule
from ofer_jax.tasks import common, expgen, idgen, idrank
from tests import published as parity

TASKS = {"idgen": idgen, "idrank": idrank, "expgen": expgen}
CONSTANTS = {"basis": np.eye(300), "template": np.zeros((published.FRONT, 3))}


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dicts by path; an empty dict is a leaf."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    return {k: v for name in tree for k, v in flat(tree[name], f"{prefix}/{name}").items()}


def test_the_modes_differ_in_the_programs_faults_and_in_nothing_else() -> None:
    paper, demo = (flat(published.tasks(mode)) for mode in published.MODES)
    told = {key: (paper.get(key), demo.get(key)) for key in {*paper, *demo}}
    assert {key: pair for key, pair in told.items() if pair[0] != pair[1]} == {
        "/idgen/sampler/name": ("dpm3", "official_ddim"),
        "/idgen/sampler/steps": (25, None),
        "/idgen/schedule/tables": ("float64", "float32"),
        "/idgen/encoder/channels": ("rgb", "bgr"),
        "/idrank/encoder/channels": ("rgb", "bgr"),
        "/idrank/encoder/last_norm": (True, False),
        "/expgen/sampler/name": ("dpm3", "ddpm"),
        "/expgen/sampler/steps": (25, None),
        "/expgen/schedule/tables": ("float64", "float32"),
        "/expgen/encoder/channels": ("rgb", "bgr"),
        "/expgen/jaw_scale": ([1.0, 1.0, 1.0], [0.5, 0.5, 0.5]),
    }


@pytest.mark.parametrize("mode", published.MODES)
def test_a_config_survives_json_and_names_known_samplers(mode: str) -> None:
    tasks = published.tasks(mode)
    assert json.loads(json.dumps(tasks)) == tasks
    assert {tasks[name]["sampler"]["name"] for name in ("idgen", "expgen")} <= set(common.SAMPLERS)


def test_a_change_of_a_config_changes_no_other() -> None:
    published.tasks()["idgen"]["encoder"]["blocks"].append(7)
    assert published.tasks()["idgen"]["encoder"]["blocks"] == [3, 13, 30, 3]


def test_the_schedule_is_the_published_one() -> None:
    table = common.noise_schedule(published.tasks("official_demo")["expgen"])
    golden = parity.golden("schedule_linear_1000")
    for name, ours in schedule.PUBLISHED.items():
        np.testing.assert_allclose(getattr(table, ours), golden[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("task", "name", "millions"),
    [
        ("idgen", "denoiser_idgen", 12.4),
        ("idrank", "ranker", 59.5),
        ("expgen", "denoiser_expgen", 3.2),
    ],
)
def test_the_networks_have_the_published_sizes(task: str, name: str, millions: float) -> None:
    init = functools.partial(TASKS[task].init, published.tasks()[task])
    params = jax.eval_shape(init, jax.random.key(0), CONSTANTS)
    sizes = {
        part: sum(leaf.size for leaf in jax.tree.leaves(tree)) for part, tree in params.items()
    }
    assert sizes["net"] / 1e6 == pytest.approx(millions, abs=0.06)
    assert sizes["net"] == sum(int(np.prod(shape)) for shape in parity.shapes(name).values())
    encoders = ["arcface_iresnet100"] + ["farl_vit_b16"] * (task != "idgen")
    expected = sum(
        int(np.prod(shape))
        for encoder in encoders
        for key, shape in parity.shapes(encoder).items()
        if not key.endswith("num_batches_tracked")
    )
    assert sizes["encoder"] == expected


def test_another_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode 'demo' is not known; use one of paper, official"):
        published.tasks("demo")

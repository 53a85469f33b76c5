"""Every experiment builds its params' shapes and its optimiser on the open head."""

import importlib
import json

import jax
import pytest

from ofer_jax import flame, openhead, optim, state, train

VARIANTS = [
    *((task, kind, "") for task in train.TASKS for kind in ("openhead", "paper")),
    *((task, "openhead", "demo") for task in train.TASKS),
]
PUBLISHED = {"idgen": 12.4e6, "idrank": 59.5e6, "expgen": 3.2e6}


@pytest.mark.parametrize(("task", "kind", "variant"), VARIANTS)
def test_the_experiment_builds(task: str, kind: str, variant: str) -> None:
    module = importlib.import_module(f"configs.{task}_{kind}")
    config = module.get_config(*filter(None, [variant]))
    made, model = train.TASKS[task], config.model.to_dict()
    head, surface = flame.load(openhead.head_path()), openhead.surface()
    constants = made.constants(model, head, surface[made.REGION])
    tx = optim.make(config.optim, config.total_steps, made.frozen(model))

    def init(key: jax.Array) -> state.TrainState:
        return state.create(made.init(model, key, constants), tx)

    params = jax.eval_shape(init, jax.random.key(0)).params
    assert config.ckpt_steps % config.eval_steps == 0 or variant == "demo"
    json.dumps(model)
    if kind == "paper":
        count = sum(leaf.size for leaf in jax.tree.leaves(params["net"]))
        # The published ranker has 1785 vertices; the open head's front has a few more.
        assert count == pytest.approx(PUBLISHED[task], rel=0.07 if task == "idrank" else 0.02)


def test_an_unknown_variant_is_an_error() -> None:
    module = importlib.import_module("configs.idgen_openhead")
    with pytest.raises(ValueError, match="variant 'dmeo' is not known"):
        module.get_config("dmeo")

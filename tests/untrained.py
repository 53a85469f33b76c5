"""An untrained bundle on the open head, made without compiling anything: for tests of its users."""

from functools import cache
from pathlib import Path

import jax
import numpy as np

from ofer_jax import bundle, faces, flame, openhead
from tests import toy


@cache
def head() -> flame.FlameModel:
    """The open head."""
    return flame.load(openhead.head_path())


def save(path: Path) -> Path:
    """Writes the bundle; returns its folder."""
    rng, model = np.random.default_rng(0), head()
    configs, params = {}, {}
    for name, task in toy.TASKS.items():
        configs[name] = toy.model_config(
            name, faces.FEATURES, model.num_shape, model.num_expression
        )
        params[name] = jax.tree.map(
            lambda leaf: rng.normal(0, 0.3 / np.sqrt(leaf.shape[0]), leaf.shape).astype("f4"),
            jax.eval_shape(
                lambda k, t=task, c=configs[name], n=name: t.init(c, k, _constants(n)),
                jax.random.key(0),
            ),
        )
    params["idgen"]["basis"] = _constants("idgen")["basis"]
    bundle.save(bundle.make(configs, params, model), path)
    return path


def _constants(name: str) -> dict[str, np.ndarray]:
    """What `init` reads of a task's constants: the basis, or the number of the ranker's points."""
    if name == "idrank":
        region = openhead.surface()["region_front"]
        points = len(region[:: toy.model_config(name)["vertex_stride"]])
        return {"template": np.zeros((points, 3), np.float32)}
    size = toy.model_config("idgen")["num_coefficients"]
    return {"basis": np.eye(head().num_shape, size, dtype=np.float32)}

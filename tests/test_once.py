"""Equal arrays are passed once, and the work on them is then done once."""

import jax
import numpy as np
import pytest

from ofer_jax import once
from ofer_jax.models import products
from ofer_jax.tasks import conditioning
from tests import toy


def test_equal_leaves_are_one_and_the_tree_comes_back(rng) -> None:
    a, b = rng.normal(size=(2, 3, 100)).astype(np.float32)
    late = a.copy()
    late[-1, -1] += 1  # as a is, where a few values are looked at
    tree = {"x": [a, b], "y": (a.copy(), late, a.astype(np.float64), a.reshape(100, 3))}
    found = once.Once.of(tree)
    assert len(found.leaves) == 5
    jax.tree.map(np.testing.assert_array_equal, found.tree, tree)
    assert found.tree["y"][0] is found.tree["x"][0]
    moved = jax.jit(lambda held: jax.tree.map(lambda v: 2 * v, held))(once.Once.of([a, b, a]))
    np.testing.assert_array_equal(moved.tree[2], 2 * a)


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("narrow", [False, True])
def test_what_encoders_share_is_worked_out_once(narrow: bool, rng) -> None:
    """Three of four stages are the same in both networks: stem, 3 x 3 convolutions, and the last
    stage's three twice."""
    config = toy.picture_config("idgen")
    config["encoder"] |= {"width": 8, "out_dim": 8}
    shapes = jax.eval_shape(lambda key: conditioning.init(config, key), jax.random.key(0))
    one = jax.tree.map(lambda leaf: rng.uniform(1, 2, leaf.shape).astype(np.float32), shapes)
    params = one["arcface"]["params"]
    other = params | {"stage_4_0": jax.tree.map(lambda v: 2 * v, params["stage_4_0"])}
    two = {"arcface": one["arcface"] | {"params": other}}

    def encode(held: once.Once, features: dict[str, jax.Array]) -> list[jax.Array]:
        return [conditioning.encode(config, params, features) for params in held.tree]

    crops, counts = toy.crops(1), []
    for pair in ([one], [one, two]):
        held = once.Once.of(products.narrow(pair) if narrow else pair)
        text = jax.jit(encode).lower(held, crops).compile().as_text()
        counts.append(sum(f" {kind}(" in line for line in text.splitlines() for kind in KINDS))
    first, both = counts
    assert first >= 13
    assert both - first < first / 2


KINDS = ("convolution", "dot", "custom-call")

"""Names of leaves, by the keys on the way to them."""

from ofer_jax import trees
from ofer_jax.state import TrainState

TREE = {"net": {"dense": {"kernel": 1, "bias": 2}}, "basis": 3, "pair": [4, 5]}


def test_leaves_have_names() -> None:
    assert trees.named(TREE) == [
        ("basis", 3),
        ("net/dense/bias", 2),
        ("net/dense/kernel", 1),
        ("pair/0", 4),
        ("pair/1", 5),
    ]
    state = TrainState(0, {"net": 1}, None, (2,))  # pyrefly: ignore[bad-argument-type]
    assert [name for name, _ in trees.named(state)] == ["step", "params/net", "opt_state/0"]
    assert trees.named(7) == [("", 7)]


def test_a_function_is_given_the_name_and_leaves_of_all_trees() -> None:
    found = trees.map_named(lambda name, a, b: (name, a + b), TREE["net"], TREE["net"])
    assert found == {"dense": {"kernel": ("dense/kernel", 2), "bias": ("dense/bias", 4)}}

"""Pictures of a run: the truth stands first, heads follow the params, and nothing stops the run."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ofer_jax import flame, pictures, sharding
from ofer_jax.tasks import idrank
from tests import toy

TASKS = sorted(toy.TASKS)
SURFACE = {"region_face": toy.REGION, "region_front": toy.REGION}


def made(task: str, crops: bool = False, count: int = 8, **mesh: Any) -> tuple[Any, Any]:
    """The function that draws, and fresh params."""
    config = (toy.picture_training if crops else toy.config)(task)
    config.mesh.update(mesh)
    constants = toy.constants(task)
    params = toy.TASKS[task].init(config.model.to_dict(), jax.random.key(0), constants)
    arrays = toy.arrays(count, crops)
    return pictures.make(config, toy.head(), SURFACE, constants, arrays), params


def column(picture: np.ndarray, number: int) -> np.ndarray:
    """The cards and captions of one column, without its title."""
    width = pictures.SIZE[0] + pictures.GAP
    left = pictures.MARGIN + number * width
    return picture[pictures.MARGIN + pictures.LINE :, left : left + width]


@pytest.mark.parametrize("task", TASKS)
def test_the_truth_stays_and_the_heads_follow_the_params(task: str) -> None:
    illustrate, params = made(task)
    first, again = illustrate(params), illustrate(params)
    other = illustrate(jax.tree.map(lambda x: x + 0.1, params))
    heads = toy.CANDIDATES if task == "idrank" else pictures.HEADS
    height = pictures.SIZE[1] + pictures.LINE
    assert first.dtype == np.uint8 and first.shape == (
        2 * pictures.MARGIN + pictures.LINE + pictures.ROWS * height,
        2 * pictures.MARGIN + (1 + heads) * (pictures.SIZE[0] + pictures.GAP) - pictures.GAP,
        3,
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(column(first, 0), column(other, 0))
    assert (column(first, 1) != column(other, 1)).any()


@pytest.mark.slow
def test_crops_stand_before_the_truth() -> None:
    illustrate, params = made("idgen", crops=True)
    picture = illustrate(params)
    card = column(picture, 0)[: pictures.SIZE[1], : pictures.SIZE[0]]
    crop = toy.crops(8)["crop_112"][0]
    middle = card[(pictures.SIZE[1] - pictures.SIZE[0]) // 2 :][: pictures.SIZE[0]]
    assert middle.mean() == pytest.approx(crop.mean(), abs=3)


def test_candidates_stand_in_the_order_of_their_scores() -> None:
    config, constants, head = toy.config("idrank"), toy.constants("idrank"), toy.head()
    model = config.model.to_dict()
    params = idrank.init(model, jax.random.key(1), constants)
    batch = toy.arrays(3)
    shapes = np.random.default_rng(0).standard_normal((3, 9, toy.SHAPE)).astype("f4")
    batch["candidates"] = shapes
    draw = jax.jit(functools.partial(pictures.draw, "idrank", model))
    drawn = draw(params, head, constants, toy.REGION, batch)
    scores = idrank.scores(model, params, constants, shapes, batch["features"])
    for row in range(3):
        order = np.argsort(-np.asarray(scores[row]))[[0, 1, 2, 6, 7, 8]]
        expected = flame.vertices(head, shape=shapes[row][order])
        np.testing.assert_allclose(drawn.heads[row, 1:], expected, atol=1e-6)
        truth = flame.vertices(head, shape=batch["shape"][row : row + 1])
        np.testing.assert_allclose(drawn.heads[row, :1], truth, atol=1e-6)


def test_errors_are_of_the_face_in_millimetres_after_an_alignment() -> None:
    truth, (cos, sin) = np.asarray(toy.head().v_template), (np.cos(0.05), np.sin(0.05))
    moved = truth @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], "f4") + 0.01
    wider = truth.copy()
    wider[toy.REGION] += 0.002 * np.sign(truth[toy.REGION] - truth[toy.REGION].mean(0))
    heads = [truth, moved, wider, 3 * truth, np.full_like(truth, np.nan)]
    errors = np.asarray(pictures.face_errors(jnp.asarray(np.stack(heads)[None]), toy.REGION))[0]
    np.testing.assert_allclose(errors[:2], 0.0, atol=1e-3)
    assert 2.0 < errors[2] < 2 * np.sqrt(3) + 0.1
    assert np.isinf(errors[3:]).all()


@pytest.mark.parametrize("value", [np.nan, 1e6])
def test_networks_gone_astray_are_told_of_and_not_drawn(value: float) -> None:
    illustrate, params = made("idgen")
    picture = illustrate(jax.tree.map(lambda x: jnp.full_like(x, value), params))
    card = column(picture, 1)[: pictures.SIZE[1], : pictures.SIZE[0]]
    assert (card == card[:, :1]).all()  # a bare backdrop
    assert (column(picture, 0) == column(illustrate(params), 0)).all()


def test_params_in_parts_give_the_same_picture() -> None:
    illustrate, params = made("idrank", mode="fsdp")
    mesh = sharding.make_mesh(1, 8)
    layout = sharding.of_tree(params, mesh, sharding.FSDP)
    assert not all(s.is_fully_replicated for s in jax.tree.leaves(layout))
    whole, parts = illustrate(params), illustrate(jax.device_put(params, layout))
    assert np.abs(whole.astype(int) - parts.astype(int)).mean() < 0.1


def test_a_few_examples_are_enough() -> None:
    illustrate, params = made("idrank", count=2)
    height = pictures.SIZE[1] + pictures.LINE
    assert illustrate(params).shape[0] == 2 * pictures.MARGIN + pictures.LINE + 2 * height

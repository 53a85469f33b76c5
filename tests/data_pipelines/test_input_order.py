"""Which example stands where: K pictures of a subject, sets that take turns, nothing twice."""

from fractions import Fraction

import numpy as np
import pytest

from data_pipelines.input.mixing import Turns, parse, shares
from data_pipelines.input.order import Indices, Order

SUBJECTS = np.repeat([7, 3, 9, 4, 5], [1, 2, 4, 6, 9])  # 22 pictures of five people
NAMES = np.array(["g", "c", "i", "d", "e"])[np.searchsorted([3, 4, 5, 7, 9], SUBJECTS)]


def indices(steps: int, images: int, batch: int, subjects: np.ndarray = SUBJECTS) -> np.ndarray:
    source = Indices([Order(subjects, images, seed=1)], [1], batch, images)
    return np.concatenate([source[step] for step in range(steps)])


def test_one_image_a_visit_is_the_order_it_always_was():
    expected = [e * 22 + np.random.default_rng([1, e]).permutation(22) for e in range(3)]
    np.testing.assert_array_equal(indices(33, 1, 2), np.concatenate(expected))


def test_an_epoch_gives_k_pictures_of_every_subject():
    visits = SUBJECTS[indices(10, 4, 4) % 22].reshape(10, 4)
    assert (visits == visits[:, :1]).all()
    first, second = visits[:5, 0].tolist(), visits[5:, 0].tolist()
    assert sorted(first) == sorted(second) == [3, 4, 5, 7, 9] and first != second


def test_no_picture_twice_while_a_subject_has_others():
    for visit in indices(50, 4, 4).reshape(50, 4) % 22:
        size = int(np.count_nonzero(SUBJECTS[visit[0]] == SUBJECTS))
        _, times = np.unique(visit, return_counts=True)
        assert len(times) == min(4, size) and times.max() <= -(-4 // size)


def test_every_picture_is_seen_in_time_and_no_index_comes_twice():
    drawn = indices(500, 4, 4)
    assert len(np.unique(drawn)) == len(drawn)
    times = np.bincount(drawn % 22, minlength=22)
    assert times.min() > 20
    of_five = times[SUBJECTS == 5]  # 100 visits, four of nine pictures each: 44 on average
    assert of_five.sum() == 400 and of_five.min() > 25 and of_five.max() < 65


def test_subjects_may_be_names():
    by_name = NAMES[indices(5, 2, 2, NAMES) % 22].reshape(5, 2)
    assert sorted(by_name[:, 0]) == ["c", "d", "e", "g", "i"]


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_processes_share_visits(processes):
    orders = [Order(SUBJECTS, 4, 1), Order(SUBJECTS, 4, 1, 1)]
    whole = Indices(orders, [2, 1], 16, 4)
    parts = [Indices(orders, [2, 1], 16, 4, number, processes) for number in range(processes)]
    for step in (0, 1, 17, 10**9):
        shared = np.stack([part[step] for part in parts], axis=1).reshape(-1)
        np.testing.assert_array_equal(shared, whole[step])


def test_sets_shuffle_by_themselves():
    orders = [Order(SUBJECTS, 1, 1), Order(SUBJECTS, 1, 1, 1)]
    drawn = np.concatenate([Indices(orders, [1, 1], 4, 1)[step] for step in range(11)]) % 44
    first, second = drawn[drawn < 22], drawn[drawn >= 22] - 22
    assert sorted(first) == sorted(second) == list(range(22)) and (first != second).any()
    np.testing.assert_array_equal(first, indices(11, 1, 2))  # as without the other


@pytest.mark.parametrize("weights", [[1, 1], [2, 1], [1, Fraction(1, 2), 3], [1211, 150, 96, 53]])
def test_turns_are_fair_and_known_from_the_position(weights):
    turns, count = Turns(weights), 30_000
    which, before = turns(np.arange(count))
    for number, weight in enumerate(weights):
        mine = which == number
        np.testing.assert_array_equal(before[mine], np.arange(mine.sum()))
        expected = np.cumsum(np.full(count, float(weight / sum(weights))))
        assert np.abs(np.cumsum(mine) - expected).max() < len(weights)
    late = np.arange(10**12, 10**12 + 5)
    assert turns(late)[1].min() > 10**9


def test_folders_and_weights():
    assert parse("data/a") == (["data/a"], None)
    assert parse("data/a:1, /b/c:0.5") == (["data/a", "/b/c"], [1, Fraction(1, 2)])
    assert parse("gs://bucket/a,b") == (["gs://bucket/a", "b"], None)
    assert shares("/x/a:2,b:1") == shares("a:2,elsewhere/b:1") != shares("a:1,b:1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:1,b", "every data set a weight"),
        ("a:0,b:1", "above 0"),
        ("a:-1,b:1", "above 0"),
        ("a,,b", "empty folder"),
        ("a:1,b:1,a:2", "a folder twice"),
        (":2", "empty folder"),
    ],
)
def test_faults_of_folders_are_named(text, said):
    with pytest.raises(ValueError, match=said):
        parse(text)


def test_a_batch_holds_whole_subjects():
    with pytest.raises(ValueError, match="batch of 6 cannot hold 4 images"):
        indices(1, 4, 6)
    with pytest.raises(ValueError, match="no training examples"):
        Order(np.array([]), 1, 0)

"""Whose histories are continued, their lists, and how they are judged."""

import numpy as np
import pytest

from recommender.data.catalogue import Catalogue, Film
from recommender.data.load import Dataset, split
from recommender.data.ratings import Ratings
from recommender.evaluation.task import Task, judge_lists, lists_for, make_task
from recommender.models.history_weights import HistoryWeights
from recommender.models.popularity import Popularity

FILMS = Catalogue(
    tuple(Film(10 * i, f"film {i}", 2000, ("Drama", "War")[: 1 + i % 2], (f"film {i}",)) for i in range(1, 5))
)


def table(users: list[int], items: list[int]) -> Ratings:
    n = len(users)
    return Ratings(
        np.array(users, dtype=np.int32),
        np.array(items, dtype=np.int32),
        np.full(n, 4.0, dtype=np.float32),
        np.arange(n),
        3,
        4,
    )


def test_lists_leave_out_the_history_and_end_with_free_places() -> None:
    model = Popularity(np.array([4, 3, 2, 1], dtype=np.float32))
    before = table([0, 0, 2, 2, 2], [0, 2, 1, 2, 3])
    task = Task(before, before, np.array([0, 2]), FILMS)
    lists = lists_for(model, task, k=3, weigh=HistoryWeights())
    np.testing.assert_array_equal(lists, [[1, 3, -1], [0, -1, -1]])


def test_only_the_users_of_the_lists_are_judged() -> None:
    hidden = table([0, 1, 2, 2], [3, 0, 0, 1])
    judged = judge_lists(np.array([[1, 3, -1], [0, -1, -1]]), np.array([0, 2]), hidden)
    np.testing.assert_array_equal(judged.hits, [[False, True, False], [True, False, False]])
    np.testing.assert_array_equal(judged.n_relevant, [1, 2])


def test_the_keys_name_what_is_looked_for() -> None:
    small = Task(table([0, 0, 2, 2], [0, 2, 1, 2]), table([0, 2], [3, 0]), np.array([0, 2]), FILMS)
    assert small.keys == ["0:40", "2:10"]
    fewer = Task(small.before, small.hidden, np.array([2]), FILMS)
    assert fewer.keys == ["2:10"]
    assert fewer.digest != small.digest


def test_a_draw_repeats_and_counts_films_in_what_comes_before(sample: Dataset) -> None:
    with pytest.raises(ValueError, match="0 users can be evaluated"):
        make_task(table([0] * 4, [0, 1, 2, 3]), table([0], [3]), FILMS)
    parts = split(sample)
    once, again = (make_task(parts.train, parts.validation, sample.catalogue, max_users=25, seed=3) for _ in range(2))
    np.testing.assert_array_equal(once.users, again.users)
    assert len(set(once.users)) == 25
    other = make_task(parts.train, parts.validation, sample.catalogue, max_users=25, seed=4)
    assert set(once.users) != set(other.users)
    np.testing.assert_array_equal(once.catalogue.n_ratings, parts.train.item_counts())

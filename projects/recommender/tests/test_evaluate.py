"""Lists for many users, and their comparison with what was hidden."""

import numpy as np

from recommender.evaluate import judge_lists, lists_for
from recommender.history import HistoryWeights
from recommender.models.popularity import Popularity
from recommender.ratings import Ratings


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
    lists = lists_for(model, before, np.array([0, 2]), k=3, weigh=HistoryWeights())
    np.testing.assert_array_equal(lists, [[1, 3, -1], [0, -1, -1]])


def test_only_the_users_of_the_lists_are_judged() -> None:
    hidden = table([0, 1, 2, 2], [3, 0, 0, 1])
    judged = judge_lists(np.array([[1, 3, -1], [0, -1, -1]]), np.array([0, 2]), hidden)
    np.testing.assert_array_equal(judged.hits, [[False, True, False], [True, False, False]])
    np.testing.assert_array_equal(judged.n_relevant, [1, 2])

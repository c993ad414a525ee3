"""The order of ratings, and what happens to films that were rated twice."""

import numpy as np

from recommender.data.ratings import order_ratings


def test_ratings_are_ordered_and_the_last_of_a_pair_is_kept() -> None:
    ratings, replaced = order_ratings(
        users=np.array([1, 0, 0, 0, 0], dtype=np.int32),
        items=np.array([2, 2, 1, 2, 0], dtype=np.int32),
        values=np.array([1, 2, 3, 4, 5], dtype=np.float32),
        times=np.array([9, 7, 8, 5, 8]),
        n_users=2,
        n_items=4,
    )
    assert replaced == 1
    np.testing.assert_array_equal(ratings.users, [0, 0, 0, 1])
    np.testing.assert_array_equal(ratings.items, [2, 0, 1, 2])  # item 0 before 1: the same second
    np.testing.assert_array_equal(ratings.values, [2, 5, 3, 1])  # of item 2, time 7 replaced time 5
    np.testing.assert_array_equal(ratings.user_counts(), [3, 1])
    np.testing.assert_array_equal(ratings.item_counts(), [1, 1, 2, 0])
    np.testing.assert_array_equal(ratings.offsets(), [0, 3, 4])
    np.testing.assert_array_equal(ratings.matrix().toarray(), [[1, 1, 1, 0], [0, 0, 1, 0]])


def test_of_one_second_the_later_row_is_kept() -> None:
    ratings, replaced = order_ratings(
        users=np.zeros(2, dtype=np.int32),
        items=np.zeros(2, dtype=np.int32),
        values=np.array([1, 2], dtype=np.float32),
        times=np.array([5, 5]),
        n_users=1,
        n_items=1,
    )
    assert (replaced, ratings.values.tolist()) == (1, [2.0])

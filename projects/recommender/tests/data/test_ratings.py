"""The order of ratings, and what happens to films that were rated twice."""

import numpy as np
import pytest

from recommender.data import ratings as module
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


@pytest.mark.parametrize("rows_at_once", [1, 7, 1_000])
@pytest.mark.parametrize("times", [5, 10**18])
def test_blocks_of_users_have_the_order_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, rows_at_once: int, times: int
) -> None:
    """Three hundred ratings in any order, most of them replaced, as a plain sort of tuples has them."""
    monkeypatch.setattr(module, "ROWS_AT_ONCE", rows_at_once)
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, (20, 9), size=(300, 2), dtype=np.int32).T.copy()
    moments = rng.integers(0, times, size=300)
    values = np.arange(300, dtype=np.float32)
    latest: dict[tuple[int, int], tuple[int, float]] = {}
    for user, item, time, value in zip(users.tolist(), items.tolist(), moments.tolist(), values.tolist(), strict=True):
        if latest.get((user, item), (-1, 0))[0] <= time:
            latest[user, item] = (time, value)
    expected = sorted((user, time, item, value) for (user, item), (time, value) in latest.items())
    ratings, replaced = order_ratings(users, items, values, moments, n_users=20, n_items=9)
    found = zip(*(getattr(ratings, name).tolist() for name in ("users", "times", "items", "values")), strict=True)
    assert list(found) == expected
    assert replaced == 300 - len(expected) > 0

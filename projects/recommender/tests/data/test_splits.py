"""Splits leak nothing, lose nothing, and say who is left out."""

from collections.abc import Callable

import numpy as np
import pytest

from recommender.data.catalogue import Catalogue, Film
from recommender.data.load import Dataset
from recommender.data.ratings import Ratings
from recommender.data.splits import (
    MIN_HISTORY,
    Split,
    evaluated_users,
    split_at_random,
    split_by_date,
    split_by_pause,
    split_by_user_time,
)

SplitBy = Callable[[Ratings, Catalogue], Split]
SPLITS: list[SplitBy] = [split_by_user_time, split_by_date, split_at_random]

FILMS = Catalogue(tuple(Film(number, f"film {number}", 2000, ("Drama",), (f"film {number}",)) for number in range(60)))


def ratings_of(*histories: list[tuple[int, int]], n_items: int = 60) -> Ratings:
    """Ratings from (item, time) pairs per user, which must be in order."""
    users = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    items, times = np.array([pair for history in histories for pair in history]).T
    values = np.full(len(users), 3.5, dtype=np.float32)
    return Ratings(users.astype(np.int32), items.astype(np.int32), values, times, len(histories), n_items)


def pairs(ratings: Ratings) -> set[tuple[int, int]]:
    return set(zip(ratings.users.tolist(), ratings.items.tolist(), strict=True))


@pytest.mark.parametrize("split_by", SPLITS)
def test_every_rating_is_in_exactly_one_part(sample: Dataset, split_by: SplitBy) -> None:
    split = split_by(sample.ratings, sample.catalogue)
    parts = [pairs(part) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(sample.ratings)
    assert set.union(*parts) == pairs(sample.ratings)
    assert pairs(split.before_test) == parts[0] | parts[1]
    assert all(len(part) > 0 for part in parts)


def test_user_time_hides_the_last_fifth_of_each_user(sample: Dataset) -> None:
    split = split_by_user_time(sample.ratings, sample.catalogue)
    counts = sample.ratings.user_counts()
    np.testing.assert_array_equal(split.test.user_counts(), counts // 5)
    np.testing.assert_array_equal(split.validation.user_counts(), counts // 5)
    for user in range(0, sample.ratings.n_users, 37):
        times = [part.times[part.users == user] for part in (split.train, split.validation, split.test)]
        assert times[0].max() <= times[1].min()
        assert times[1].max() <= times[2].min()


def test_ties_in_time_are_broken_by_item() -> None:
    split = split_by_user_time(ratings_of([(item, 100) for item in range(20)]), FILMS)
    assert sorted(split.validation.items) == [12, 13, 14, 15]
    assert sorted(split.test.items) == [16, 17, 18, 19]


def test_a_user_with_too_little_history_is_trained_on_and_counted() -> None:
    short, long = [(item, item) for item in range(6)], [(item, item) for item in range(20)]
    split = split_by_user_time(ratings_of(short, long), FILMS)
    assert split.train.user_counts().tolist() == [6, 12]
    assert split.excluded["users without a rating in the test"] == 1
    np.testing.assert_array_equal(evaluated_users(split.before_test, split.test), [1])


def test_films_that_only_the_test_has_are_counted() -> None:
    split = split_by_user_time(ratings_of([(item, item) for item in range(20)]), FILMS)
    assert split.excluded["films of the test that nobody rated before"] == 4
    assert split.excluded["ratings of such films, which count as missed"] == 4


def test_date_puts_one_cut_through_all_users(sample: Dataset) -> None:
    split = split_by_date(sample.ratings, sample.catalogue)
    assert split.train.times.max() < split.validation.times.min()
    assert split.validation.times.max() < split.test.times.min()
    users = evaluated_users(split.before_test, split.test)
    absent = split.excluded["users without a rating in the test"]
    few = split.excluded[f"users with fewer than {MIN_HISTORY} ratings before the test"]
    assert len(users) + absent + few == sample.ratings.n_users
    assert 0 < len(users) < sample.ratings.n_users


def test_date_keeps_one_second_on_one_side() -> None:
    split = split_by_date(ratings_of([(item, min(item, 8)) for item in range(10)]), FILMS, share=0.1)
    # The last two ratings share a second, so the cut that should part them goes after both.
    assert split.test.times.tolist() == []
    assert split.validation.times.tolist() == [8, 8]


def test_random_hides_a_quarter_and_the_seed_chooses(sample: Dataset) -> None:
    split = split_at_random(sample.ratings, sample.catalogue, seed=1)
    counts = sample.ratings.user_counts()
    np.testing.assert_array_equal(split.test.user_counts(), counts // 4)
    np.testing.assert_array_equal(split.validation.user_counts(), (counts - counts // 4) // 4)
    assert pairs(split.test) != pairs(split_at_random(sample.ratings, sample.catalogue, seed=2).test)


@pytest.mark.real_data
def test_counts_on_latest_small(latest_small: Dataset) -> None:
    by_user = split_by_user_time(latest_small.ratings, latest_small.catalogue)
    assert len(evaluated_users(by_user.before_test, by_user.test)) == 610
    by_date = split_by_date(latest_small.ratings, latest_small.catalogue)
    assert len(evaluated_users(by_date.before_test, by_date.test)) == 28


HOUR = 3600


def sittings(*lengths: int, pause: int = 30 * HOUR) -> list[tuple[int, int]]:
    """A history of sittings, a minute between two films and a pause between two sittings."""
    films, time = [], 0
    for length in lengths:
        for _ in range(length):
            films.append((len(films), time))
            time += 60
        time += pause
    return films


@pytest.mark.parametrize(
    ("lengths", "hidden"),
    [
        ((10, 10), 10),  # the only pause
        ((5, 10, 2, 1), 3),  # the nearest to a fifth of 18, which is 3.6
        ((6, 2, 2), 2),
        ((4, 20), 0),  # too few before the pause
        ((24,), 0),
    ],
)
def test_after_a_pause_the_test_is_what_lies_nearest_to_a_fifth(lengths: tuple[int, ...], hidden: int) -> None:
    split = split_by_pause(ratings_of(sittings(*lengths), sittings(8, 2)), FILMS)
    assert split.test.user_counts().tolist() == [hidden, 2]
    assert split.excluded["users without a pause of 24 hours after 5 ratings"] == (hidden == 0)
    assert len(split.validation) == 0
    assert len(split.train) + len(split.test) == sum(lengths) + 10


def test_a_pause_lasts_a_day(sample: Dataset) -> None:
    almost = ratings_of(sittings(8, 2, pause=24 * HOUR - 61), sittings(8, 2, pause=24 * HOUR - 60))
    assert split_by_pause(almost, FILMS).test.user_counts().tolist() == [0, 2]
    split = split_by_pause(sample.ratings, sample.catalogue)
    for user in np.unique(split.test.users):
        before, after = (part.times[part.users == user] for part in (split.before_test, split.test))
        assert after.min() - before.max() >= 24 * HOUR
        assert len(before) >= MIN_HISTORY
    without = split.excluded["users without a pause of 24 hours after 5 ratings"]
    assert without == sample.ratings.n_users - len(np.unique(split.test.users))

"""People of the log beside those of the data: who is learned from, and what no film may give away."""

import numpy as np
import pytest

from recommender.data.catalogue import Catalogue, Film
from recommender.data.people import Person, join, learn_from, newest
from recommender.data.ratings import Ratings
from recommender.data.splits import Split, split_by_user_time

NAN = float("nan")
FILMS = Catalogue(tuple(Film(10 * i, str(i), 2000, (), (str(i),)) for i in range(1, 9)))


def ratings(*histories: list[int]) -> Ratings:
    """Return ratings of films, by position, a list of which each user rated in this order, each with four stars."""
    users = np.repeat(np.arange(len(histories), dtype=np.int32), [len(each) for each in histories])
    items = np.concatenate([np.array(each, dtype=np.int32) for each in histories])
    times = np.concatenate([np.arange(len(each), dtype=np.int64) for each in histories])
    return Ratings(users, items, np.full(len(users), 4, dtype=np.float32), times, len(histories), len(FILMS))


def person(*films: int, client: str, at: float = 100.0) -> Person:
    return Person(dict.fromkeys(films, NAN), at, client)


def people(*histories: tuple[int, ...]) -> list[Person]:
    return [person(*films, client=f"client {number}") for number, films in enumerate(histories)]


def of(part: Ratings, user: int) -> list[int]:
    return part.items[part.users == user].tolist()


@pytest.mark.parametrize(("most", "kept"), [(0, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 3), (99, 3)])
def test_the_newest_people_are_learned_from_as_far_as_their_ratings_go(most: int, kept: int) -> None:
    everybody = people((10,), (10, 20), (10, 20, 30))
    assert list(newest(everybody, most, min_raters=1)) == everybody[3 - kept :]
    assert list(newest([], most, min_raters=1)) == []


def test_ratings_that_are_not_learned_from_take_no_room() -> None:
    everybody = people((10,), (10, 20), (10, 20, 30))
    assert list(newest(everybody, 4, min_raters=2)) == everybody[1:]  # 30 is of one person alone
    one = [person(*films, client="") for films in ((10,), (10, 20), (10, 20, 30))]
    assert list(newest(one, 0, min_raters=2)) == one  # who is one client all the time


def test_people_are_numbered_after_the_others_and_keep_their_order_and_stars() -> None:
    joined = join(ratings([0, 1], [2]), [Person({40: 4.5, 999: 1.0, 10: NAN}, 50.9, ""), *people(())], FILMS)
    assert (joined.n_users, joined.n_items) == (4, 8)
    assert [of(joined, user) for user in range(4)] == [[0, 1], [2], [3, 0], []]  # no catalogue has 999
    np.testing.assert_array_equal(joined.values[3:], np.array([4.5, NAN], dtype=np.float32))
    assert joined.times[3:].tolist() == [47, 49]
    assert all(
        getattr(joined, name).dtype == getattr(ratings([0]), name).dtype for name in ("users", "values", "times")
    )
    assert len(join(ratings([0]), [], FILMS)) == 1


@pytest.fixture
def split() -> Split:
    """Return five people who rated 0 to 4, one of whom rated 6 and 7 before, and what they rated last."""
    return split_by_user_time(ratings([6, 7, 0, 1, 2, 3, 4, 5], *[[0, 1, 2, 3, 4]] * 4), FILMS, share=0.2)


def test_the_frozen_test_and_the_validation_stay_as_they_are(split: Split) -> None:
    taught = learn_from(split, people(*[(10, 20)] * 5), min_raters=5)
    for name in ("validation", "test"):
        old, new = getattr(split, name), getattr(taught, name)
        assert [of(new, user) for user in range(10)] == [of(old, user) for user in range(10)]
        assert new.n_users == 10
    for name in ("train", "before_test"):
        assert [of(getattr(taught, name), user) for user in range(5, 10)] == [[0, 1]] * 5


@pytest.mark.parametrize(
    ("raters", "log", "data"),
    [
        (4, [], [6, 7]),  # too few of the log: they teach nothing of it, and what one person of the data rated stays
        (5, [6], [7]),  # enough of the log: they alone are learned from, and not the one of the data
    ],
)
def test_a_film_is_learned_from_five_of_the_data_or_five_of_the_log(
    split: Split, raters: int, log: list[int], data: list[int]
) -> None:
    taught = learn_from(split, people(*[(70,)] * raters), min_raters=5)
    for part in (taught.train, taught.before_test):
        assert of(part, 5) == log
        assert [film for film in of(part, 0) if film >= 6] == data
        assert of(part, 1) == of(split.before_test if part is taught.before_test else split.train, 1)


@pytest.mark.parametrize("client", ["", "ann"])
def test_one_client_is_one_rater_however_many_histories_it_has(split: Split, client: str) -> None:
    growing = [person(*(70, 80, 10, 20, 30)[:films], client=client) for films in range(1, 6)]
    others = people(*[(20,)] * 4)
    for part in (getattr(learn_from(split, growing + others, min_raters=5), name) for name in ("train", "before_test")):
        assert [of(part, user) for user in range(5, 14)] == [[]] * 3 + [[1]] * 6  # of 20, at position 1, five clients
        assert [film for film in of(part, 0) if film >= 6] == [6, 7]

import numpy as np
import pytest

from recommender.data.explore import describe, explore, find_sittings, share_of_top
from recommender.data.ratings import order_ratings

HOUR = 3600


@pytest.fixture
def ratings():
    """Two people: one rates three films in a minute and one the day after, the other two within ten minutes."""
    users = np.array([0, 0, 0, 0, 1, 1], dtype=np.int32)
    items = np.array([0, 1, 2, 3, 0, 1], dtype=np.int32)
    times = np.array([0, 20, 60, 24 * HOUR, 500, 1100])
    return order_ratings(users, items, np.ones(6, dtype=np.float32), times, n_users=2, n_items=6)[0]


def test_sittings_end_where_an_hour_passes_and_with_each_person(ratings):
    sittings = find_sittings(ratings)
    assert sittings.spans.tolist() == [24 * HOUR, 600]
    assert sittings.films == 2.5  # of six ratings three lie in a sitting of three, two in one of two, one alone
    assert sittings.seconds == 40
    assert sittings.in_one == 0.5


def test_what_is_described_is_of_films_that_anybody_rated(ratings):
    described = describe(ratings)
    assert described["within_an_hour"] == 0.5
    assert described["rated_once"] == 0.5
    assert described["films"] == 6
    assert share_of_top(ratings, 0.25) == pytest.approx(2 / 6)


def test_the_figures_are_drawn_with_what_they_found(sample, tmp_path):
    paths = explore(sample, tmp_path)
    assert [path.name for path in paths] == ["sittings.svg", "popularity.svg"]
    assert all(path.is_file() for path in paths)

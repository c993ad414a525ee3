from types import SimpleNamespace

import numpy as np
import pytest

from recommender.data.ratings import Ratings
from recommender.evaluation import tastes as module
from recommender.evaluation.tastes import adjusted_rand, cluster, find_tastes, flat, mostly_watched, taste_groups


def test_groups_agree_whatever_their_numbers_and_no_more_than_by_chance_at_random():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 1000)
    assert adjusted_rand(labels, (labels + 1) % 4) == pytest.approx(1)
    assert adjusted_rand(labels, rng.integers(0, 4, 1000)) == pytest.approx(0, abs=0.02)


def test_clusters_that_lie_apart_are_found_and_lie_apart_on_the_map():
    rng = np.random.default_rng(0)
    centers = np.eye(3, 6) * 5
    vectors = np.repeat(centers, 50, axis=0) + rng.normal(0, 0.3, (150, 6))
    labels, found = cluster(vectors, 3)
    assert adjusted_rand(labels, np.repeat(np.arange(3), 50)) == 1
    places = flat(vectors, found)
    assert places.shape == (150, 2)
    means = np.array([places[labels == number].mean(axis=0) for number in range(3)])
    nearest = min(np.linalg.norm(means[i] - means[j]) for i in range(3) for j in range(i))
    assert nearest > 5 * places[labels == 0].std(axis=0).max()


def test_people_without_a_film_of_a_group_are_in_none():
    pairs = [(0, 0), (0, 1), (0, 2), (1, 3), (2, 2), (2, 3)]  # film 3 is in no group, person 3 has no film
    users, items = np.array(pairs, dtype=np.int32).T
    before = Ratings(users, items, np.ones(6, dtype=np.float32), np.arange(6), n_users=4, n_items=4)
    tastes = SimpleNamespace(groups=("old", "new"), items=np.array([0, 1, 2]), group_of=np.array([0, 1, 1]))
    assert mostly_watched(before, tastes).tolist() == [1, -1, 1, -1]


@pytest.mark.long
def test_every_film_that_enough_people_rated_is_in_a_group_and_everybody_mostly_watches_one(trained, monkeypatch):
    monkeypatch.setattr(module, "COUNTS", (2, 3))
    monkeypatch.setattr(module, "RESAMPLES", 2)
    task = trained.evaluation.task
    found = find_tastes(task, trained.settings.ease)
    assert set(found.items) == set(np.flatnonzero(task.before.item_counts() >= module.RATERS))
    assert len(found.groups) == max(found.stability, key=lambda k: found.stability[k])
    assert sum(group.films for group in found.groups) == len(found.items)
    assert sum(group.ratings for group in found.groups) == pytest.approx(1)
    assert [group.year for group in found.groups] == sorted(group.year for group in found.groups)
    own = mostly_watched(task.before, found)[task.users]
    assert sum(group.users for group in taste_groups(trained.evaluation, found)) == (own >= 0).sum()

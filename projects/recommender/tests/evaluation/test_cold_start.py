import numpy as np
import pytest

from recommender.data.load import split
from recommender.evaluation import cold_start as module
from recommender.evaluation.cold_start import measure_cold_start
from recommender.evaluation.task import make_task
from recommender.models.fit import Recipe
from recommender.models.history_weights import HistoryWeights
from recommender.models.popularity import Popularity

OPTIONS = {"k": 10, "seed": 0, "advance": lambda _: None}


@pytest.fixture
def task(sample):
    parts = split(sample)
    return make_task(parts.before_test, parts.test, sample.catalogue, max_users=20)


def test_short_histories_are_of_people_who_were_not_learned_from(task, monkeypatch):
    """A model that remembers whom it saw, and how long the histories are that it is asked about."""
    monkeypatch.setattr(module, "HISTORY_LENGTHS", (1, 3))
    fitted, asked = [], []

    class Spy:
        def scores(self, items, weights):
            asked.append(len(items))
            return np.zeros(len(task.catalogue), dtype=np.float32)

    def fit(X):
        fitted.append(np.flatnonzero(X.sum(axis=1)))
        return Spy()

    starts = measure_cold_start(task, Recipe(fit, HistoryWeights()), **OPTIONS)
    assert [start.films for start in starts] == [1, 3]
    assert sorted(set(asked)) == [1, 3]
    assert len(fitted) == 5
    # Each of the evaluated users is missing from exactly one fit.
    missing = [user for seen in fitted for user in set(task.users) - set(seen)]
    assert sorted(missing) == sorted(task.users)
    assert starts[0].popularity == starts[1].popularity
    for start in starts:
        assert start.difference.estimate == pytest.approx(start.ndcg.estimate - start.popularity.estimate)
        # Every score is 0, so everybody gets the first films: the interval is that of pairs, not of two samples.
        assert start.difference.low < start.difference.estimate < start.difference.high
    assert starts[0].popularity.estimate > 0


def test_too_few_long_histories_are_refused(task, monkeypatch):
    monkeypatch.setattr(module, "HISTORY_LENGTHS", (1, 10_000))
    with pytest.raises(ValueError, match="0 users have 10000 films before the test; expected 5 or more"):
        measure_cold_start(task, Recipe(Popularity, HistoryWeights()), **OPTIONS)

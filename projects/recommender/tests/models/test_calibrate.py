"""Chances are fitted on what people watched next."""

import numpy as np
import pytest

from recommender.data.load import split
from recommender.data.splits import evaluated_users
from recommender.models import calibrate as module
from recommender.models.calibrate import Listed, cut_lengths, fit_chance, lists_of_histories, lists_of_popular_films
from recommender.models.chance import NEXT
from recommender.models.ease import fit_ease
from recommender.models.history_weights import HistoryWeights

WEIGH = HistoryWeights(half_life_share=0.15, half_life_films=3, rating_slope=0.3)


@pytest.fixture(scope="module")
def parts(sample):
    return split(sample)


@pytest.fixture(scope="module")
def model(parts):
    return fit_ease(parts.train.matrix(), penalty=50.0, min_raters=3, rank=32)


def test_the_slopes_are_those_that_made_the_data():
    rng = np.random.default_rng(0)
    features = np.column_stack([np.ones(200_000), rng.normal(size=200_000)])
    hits = rng.random(200_000) < 1 / (1 + np.exp(-features @ [-2.0, 0.7]))
    assert module._fit([Listed(features, hits)]) == pytest.approx((-2.0, 0.7), abs=0.03)
    assert module._fit([Listed(features, ~hits)]) is None  # a higher score, a lower chance
    assert module._fit([Listed(features[:50], hits[:50])]) is None  # a handful of hits


def test_on_what_it_was_fitted_on_the_chance_is_what_happened(parts, model):
    """The mean of a logistic regression with an intercept is the mean of its data, for short histories as for long."""
    chance = fit_chance(model, WEIGH, parts.train, parts.validation)
    users = evaluated_users(parts.train, parts.validation)
    counts = parts.train.user_counts()[users]
    for lengths in (counts, cut_lengths(parts.train, users, np.random.default_rng(5))):
        lists = lists_of_histories(
            model, WEIGH, parts.train, parts.validation, users=users, lengths=lengths, k=module.LISTED
        )
        stated = np.mean([1 / (1 + np.exp(-each.features @ chance.history)) for each in lists])
        assert stated == pytest.approx(np.mean([each.hits for each in lists]), rel=0.12)
    popular = lists_of_popular_films(model, parts.train, parts.validation, users=users, k=module.LISTED)
    stated = np.mean([1 / (1 + np.exp(-each.features @ chance.popularity)) for each in popular])
    assert stated == pytest.approx(np.mean([each.hits for each in popular]), rel=0.01)


def test_the_event_is_a_film_among_the_next_ten(parts, model):
    users = evaluated_users(parts.train, parts.validation)[:20]
    counts = parts.train.user_counts()[users]
    lists = lists_of_histories(model, WEIGH, parts.train, parts.validation, users=users, lengths=counts, k=30)
    starts, hidden = parts.train.offsets(), parts.validation
    for user, each in zip(users, lists, strict=True):
        watched = hidden.items[hidden.users == user][:NEXT]
        before = slice(starts[user], starts[user + 1])
        scores = model.scores(parts.train.items[before], WEIGH(parts.train.values[before]))
        scores[parts.train.items[before]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:30]
        assert each.hits.tolist() == np.isin(best, watched).tolist()
        assert np.exp(each.features[0, -1]) == pytest.approx(len(watched))
    assert max(np.exp(each.features[0, -1]) for each in lists) == pytest.approx(NEXT)


def test_short_histories_are_drawn_as_often_as_long_ones(parts):
    users = np.repeat(np.argmax(parts.train.user_counts()), 4000)
    most = parts.train.user_counts().max()
    lengths = cut_lengths(parts.train, users, np.random.default_rng(0))
    assert (lengths.min(), lengths.max()) == (1, most)
    assert np.mean(lengths <= np.sqrt(most)) == pytest.approx(0.5, abs=0.05)

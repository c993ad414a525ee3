"""The chance of a recommendation, as it is served."""

import numpy as np
import pytest

from recommender.models.chance import NEXT, Chance, history_features, logistic

CHANCE = Chance((1.5, 1.4, 0.4, -1.3, 0.8), (-4.0, 1.2, 0.6))


def test_what_is_served_is_the_regression_that_was_fitted():
    scores, weights = np.array([0.3, 0.02, -1.0]), np.array([0.4, 0.7, 1.0])
    fitted = logistic(history_features(scores, weights, NEXT) @ np.array(CHANCE.history))
    assert CHANCE.of_history(scores, weights) == pytest.approx(fitted)


def test_it_rises_with_the_score_and_stays_a_chance():
    for weights in (np.ones(1), np.ones(500)):
        values = CHANCE.of_history(np.array([-3.0, 0.0, 0.01, 0.2, 0.9, 50.0]), weights)
        assert (np.diff(values) >= 0).all()
        assert values[0] == values[1]  # below the least score nothing is told apart
        assert ((values > 0) & (values < 1)).all()
    assert (np.diff(CHANCE.of_popularity(np.array([0.0, 5.0, 300.0]), 300.0)) > 0).all()
    five, ten = (CHANCE.of_history(np.array([0.2]), np.ones(3), n_next=n) for n in (5, NEXT))
    assert five < ten

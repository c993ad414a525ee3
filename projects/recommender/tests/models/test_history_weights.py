"""How a history is weighed."""

import numpy as np

from recommender.models.history_weights import HistoryWeights

STARS = np.array([3.5, 3.5, 3.5, 3.5])


def test_the_half_life_is_a_share_of_the_history() -> None:
    np.testing.assert_allclose(
        HistoryWeights(half_life_share=0.5, half_life_films=1)(STARS), 0.5 ** (np.arange(3, -1, -1) / 2)
    )


def test_a_short_history_fades_slowly() -> None:
    weights = HistoryWeights(half_life_share=0.1, half_life_films=3)(STARS)
    np.testing.assert_allclose(weights, 0.5 ** (np.arange(3, -1, -1) / 3), rtol=1e-6)


def test_stars_add_or_take_away_and_a_missing_rating_is_neutral() -> None:
    weights = HistoryWeights(rating_slope=0.3)(np.array([0.5, 3.5, 5.0, np.nan]))
    np.testing.assert_allclose(weights, [0.1, 1.0, 1.45, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(HistoryWeights()(np.array([0.5, np.nan, 5.0])), [1, 1, 1])
    assert HistoryWeights(half_life_share=0.2)(np.array([])).shape == (0,)

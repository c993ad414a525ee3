"""How a history is weighed."""

import numpy as np

from recommender.models.history_weights import HistoryWeights, read_histories

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


def test_histories_that_lie_one_after_the_other_are_weighed_as_alone() -> None:
    weigh = HistoryWeights(half_life_share=0.3, half_life_films=1, rating_slope=0.2)
    stars = np.array([5.0, np.nan, 0.5, 4.0, 3.0, 2.0])
    alone = np.concatenate([weigh(stars[:4]), weigh(stars[4:])])
    np.testing.assert_array_equal(weigh(stars, [4, 0, 2]), alone)


def test_histories_become_positions_weights_and_unknown_ids() -> None:
    weigh = HistoryWeights(half_life_share=0.5, half_life_films=1)
    position = {11: 0, 12: 1, 15: 2}
    watched = [{15: None, 99: 2.0, 11: 4.5}, {}, {98: None}, {12: 1.0}]
    first, *others = read_histories(watched, position, weigh)
    assert (first.items.tolist(), first.unknown) == ([2, 0], (99,))
    np.testing.assert_array_equal(first.weights, weigh(np.array([np.nan, 4.5])))  # as if the unknown one were not there
    assert [(each.items.tolist(), each.weights.tolist(), each.unknown) for each in others] == [
        ([], [], ()),
        ([], [], (98,)),
        ([1], [1.0], ()),
    ]

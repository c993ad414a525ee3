"""Who and what shapes the model: the same films and weights as of ratings in memory."""

import numpy as np

from recommender.data.shaping import emphasis, shaping_films


def test_of_too_many_films_the_most_rated_shape_the_model_in_the_order_of_the_catalogue() -> None:
    raters = np.array([3, 9, 0, 4, 3, 9])
    assert shaping_films(raters, min_raters=3).tolist() == [0, 1, 3, 4, 5]
    assert shaping_films(raters, min_raters=3, most=4).tolist() == [0, 1, 3, 5]
    assert shaping_films(raters, min_raters=10).tolist() == []


def test_longer_histories_count_less_and_nobody_counts_infinitely() -> None:
    weights = emphasis(np.array([0, 1, 10, 100]), 0.5)
    assert weights[0] == weights[1] > weights[2] > weights[3]
    np.testing.assert_array_equal(emphasis(np.array([5, 50]), 0.0), 1.0)

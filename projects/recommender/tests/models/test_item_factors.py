"""Scores, contributions and similarities, against the matrix that is never built."""

import numpy as np
import pytest
from numpy.typing import NDArray

from recommender.models.item_factors import ItemFactors

RNG = np.random.default_rng(0)
FACTORS = (RNG.normal(size=(12, 4)) * 0.2).astype(np.float32)
ALL = np.ones(12, dtype=np.bool_)
ITEMS, WEIGHTS = np.array([3, 8, 5]), np.array([1.0, 0.5, 0.25], dtype=np.float32)


def dense(factors: NDArray[np.float32]) -> NDArray[np.float32]:
    B = factors @ factors.T / (1 - (factors**2).sum(axis=1))
    np.fill_diagonal(B, 0)
    return np.asarray(B)


def test_scores_are_those_of_the_dense_matrix() -> None:
    scores = ItemFactors(FACTORS, ALL).scores(ITEMS, WEIGHTS)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, WEIGHTS @ dense(FACTORS)[ITEMS], atol=1e-6)
    np.testing.assert_array_equal(ItemFactors(FACTORS, ALL).scores(ITEMS[:0], WEIGHTS[:0]), np.zeros(12))


def test_contributions_are_the_entries_and_add_up_to_the_score() -> None:
    model = ItemFactors(FACTORS, ALL)
    to = np.array([0, 5, 11])
    shares = model.contributions(ITEMS, WEIGHTS, to)
    np.testing.assert_allclose(shares, (WEIGHTS[:, None] * dense(FACTORS)[np.ix_(ITEMS, to)]).T, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), model.scores(ITEMS, WEIGHTS)[to], atol=1e-6)
    assert shares[1, 2] == 0  # a film says nothing about itself


def test_films_that_few_rated_are_not_scored_and_heard_only_alone() -> None:
    rated = ALL.copy()
    rated[[0, 3]] = False
    model, everything = ItemFactors(FACTORS, rated), ItemFactors(FACTORS, ALL)
    scores = model.scores(ITEMS, WEIGHTS)
    assert np.isneginf(scores[[0, 3]]).all()
    without = everything.scores(ITEMS[1:], WEIGHTS[1:])  # film 3 is silent beside the others
    np.testing.assert_allclose(scores[rated], without[rated], atol=1e-6)
    np.testing.assert_allclose(model.contributions(ITEMS, WEIGHTS, np.array([7]))[0, 0], 0)
    alone = model.scores(ITEMS[:1], WEIGHTS[:1])
    np.testing.assert_allclose(alone[rated], everything.scores(ITEMS[:1], WEIGHTS[:1])[rated], atol=1e-6)


@pytest.mark.parametrize("length", [1.0, np.nan])
def test_factors_without_a_model_are_refused(length: float) -> None:
    with pytest.raises(ValueError, match="shorter than 1"):
        ItemFactors(np.full((2, 1), length, dtype=np.float32), ALL[:2])

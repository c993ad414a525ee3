"""ALS as it is served: exact reasons, films that few rated, and the predictor around it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.data.catalogue import Catalogue, Film
from recommender.data.load import Dataset
from recommender.models.als import fit_als
from recommender.models.fold_in import FoldIn
from recommender.models.history_weights import HistoryWeights
from recommender.models.prediction import Seen
from recommender.models.predictor import Predictor

ITEMS = np.array([4, 9, 30, 77])
WEIGHTS = np.array([0.2, 0.5, 1.3, 0.9], dtype=np.float32)


@pytest.fixture(scope="module")
def model(sample: Dataset) -> FoldIn:
    return fit_als(sample.ratings.matrix(), n_factors=6, regularization=2.0, alpha=3.0, iterations=3, min_raters=5)


def test_contributions_add_up_to_the_scores(model: FoldIn) -> None:
    to = np.flatnonzero(model.recommendable)[:20]
    rows = model.contributions(ITEMS, WEIGHTS, to)
    assert rows.shape == (20, 4)
    np.testing.assert_allclose(rows.sum(axis=1), model.scores(ITEMS, WEIGHTS)[to], rtol=1e-4, atol=1e-6)


def test_a_contribution_is_what_a_films_weight_on_the_right_hand_side_adds(model: FoldIn) -> None:
    """The equations of the paper, with one film's preference at a time and all films' confidence."""
    Y = model.factors.astype(np.float64)
    confidence = np.ones(len(Y))
    confidence[ITEMS] = 3.0 * WEIGHTS
    A = Y.T @ (confidence[:, None] * Y) + 2.0 * np.eye(6)
    expected = [Y[0] @ np.linalg.solve(A, c * Y[item]) for item, c in zip(ITEMS, 3.0 * WEIGHTS, strict=True)]
    np.testing.assert_allclose(model.contributions(ITEMS, WEIGHTS, np.array([0]))[0], expected, rtol=1e-3, atol=1e-7)


def test_films_that_few_rated_are_not_recommended(model: FoldIn, sample: Dataset) -> None:
    rare = sample.ratings.item_counts() < 5
    assert 0 < rare.sum() < len(rare)
    assert np.isneginf(model.scores(ITEMS, WEIGHTS)[rare]).all()
    assert np.isfinite(model.scores(ITEMS, WEIGHTS)[~rare]).all()


def test_the_predictor_stores_it_and_recommends_the_same(model: FoldIn, sample: Dataset, tmp_path: Path) -> None:
    predictor = Predictor(sample.catalogue, model, HistoryWeights(half_life_share=0.2))
    predictor.save(tmp_path)
    read = Predictor.load(tmp_path)
    assert isinstance(read.model, FoldIn)
    assert (read.model.alpha, read.model.regularization) == (3.0, 2.0)
    history = [Seen(sample.catalogue.films[item].id, 4.0) for item in ITEMS]
    answer = read.recommend(history, n_reasons=4)
    assert answer == predictor.recommend(history, n_reasons=4)
    assert answer.basis == "history"
    assert all(item.reasons for item in answer.recommendations)
    assert not {item.film.id for item in answer.recommendations} & {seen.film_id for seen in history}


def test_a_film_without_factors_tells_nothing() -> None:
    factors = np.array([[1.0, 0.0], [0.0, 0.0], [0.5, 0.5]], dtype=np.float32)
    model = FoldIn(factors, np.array([True, False, True]), 1.0, 2.0)
    np.testing.assert_array_equal(model.own, [1.0, 0.0, 0.5])
    films = Catalogue(tuple(Film(i, f"film {i}", None, ("Drama",), (f"film {i}",), i) for i in (1, 2, 3)))
    predictor = Predictor(films, model, HistoryWeights())
    assert predictor.similar(2) == [(films.films[0], 0.0), (films.films[2], 0.0)]
    assert predictor.recommend([Seen(2)]).basis == "popularity"
    with pytest.raises(ValueError, match="factors must be finite"):
        replace(model, factors=np.full((3, 2), np.nan, dtype=np.float32))

"""Folding in is what the library itself does, and equal seeds give equal factors."""

import numpy as np
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from recommender.data.load import Dataset
from recommender.models.als import fit_als


def test_fold_in_agrees_with_the_library(sample: Dataset) -> None:
    X = sp.csr_matrix(sample.ratings.matrix())
    model = fit_als(sample.ratings.matrix(), n_factors=8, regularization=2.0, alpha=3.0, iterations=3)
    with threadpool_limits(limits=1, user_api="blas"):
        library = AlternatingLeastSquares(factors=8, regularization=2.0, alpha=3.0, num_threads=1)
    library.item_factors, library.user_factors = model.factors, np.zeros((X.shape[0], 8), dtype=np.float32)
    for user in (0, 11, 200):
        items = X[user].indices
        expected = library.recalculate_user(user, X[user])
        solved = model.fold_in(items, np.ones(len(items), dtype=np.float32))
        np.testing.assert_allclose(solved, expected, rtol=2e-3, atol=1e-5)


def test_fold_in_solves_the_weighted_least_squares(sample: Dataset) -> None:
    model = fit_als(sample.ratings.matrix(), n_factors=6, regularization=2.0, alpha=3.0, iterations=2)
    items, weights = np.array([4, 9, 30]), np.array([1.0, 0.5, 0.1], dtype=np.float32)
    Y = model.factors.astype(np.float64)
    confidence, preference = np.ones(len(Y)), np.zeros(len(Y))
    confidence[items], preference[items] = 3.0 * weights, 1.0
    A = Y.T @ (confidence[:, None] * Y) + 2.0 * np.eye(6)
    expected = np.linalg.solve(A, Y.T @ (confidence * preference))
    np.testing.assert_allclose(model.fold_in(items, weights), expected, rtol=1e-4, atol=1e-7)
    scores = np.where(model.recommendable, model.scores(items, weights), 0.0)
    np.testing.assert_allclose(scores, Y @ expected, rtol=1e-3, atol=1e-6)  # films that nobody rated have no factors


def test_equal_seeds_give_equal_factors(sample: Dataset) -> None:
    X = sample.ratings.matrix()
    first, again = (fit_als(X, n_factors=4, regularization=1.0, alpha=2.0, iterations=2, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.factors, again.factors)


def test_films_that_few_rated_do_not_enter_the_fit(sample: Dataset) -> None:
    """Whoever rated them, the model is the same; they have no factors and are not recommended."""
    X = sample.ratings.matrix().toarray()
    few = X.sum(axis=0) < 8
    assert 0 < few.sum() < len(few)
    options = {"n_factors": 4, "regularization": 1.0, "alpha": 2.0, "iterations": 2, "min_raters": 8}
    other = X.copy()
    other[:, few] = np.roll(X[:, few], 1, axis=0)
    first, again = (fit_als(sp.csr_array(rows), **options) for rows in (X, other))
    np.testing.assert_array_equal(first.factors, again.factors)
    np.testing.assert_array_equal(first.recommendable, ~few)
    assert not first.factors[few].any()
    assert first.factors[~few].any(axis=1).all()

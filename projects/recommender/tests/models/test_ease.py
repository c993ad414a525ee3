"""EASE: each way of computing it against the textbook's inverse and against the others."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

from recommender.data.load import Dataset
from recommender.models import ease
from recommender.models.ease import fit_ease
from recommender.models.features import film_features
from recommender.models.item_factors import ItemFactors


def random_matrix(n_users: int, n_items: int, seed: int = 0) -> sp.csr_array:
    rng = np.random.default_rng(seed)
    dense = (rng.random((n_users, n_items)) < 0.15).astype(np.float32)
    dense[0, dense.sum(axis=0) == 0] = 1  # everything has a rating, so everything is scored
    return sp.csr_array(dense)


def textbook(X: NDArray[np.float64], penalty: float) -> NDArray[np.float64]:
    """B by equation 8 of Steck (2019)."""
    P = np.linalg.inv(X.T @ X + penalty * np.eye(X.shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    return B


def all_scores(model: ItemFactors, X: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([model.scores(np.flatnonzero(row), row[row > 0].astype(np.float32)) for row in X])


@pytest.mark.parametrize("shape", [(30, 80), (80, 30), (40, 40)])
@pytest.mark.parametrize("side", ["users", "items", "auto"])
def test_both_sides_are_the_textbook(shape: tuple[int, int], side: ease.Side) -> None:
    X = random_matrix(*shape)
    dense = X.toarray().astype(np.float64)
    model = fit_ease(X, penalty=20.0, side=side)
    np.testing.assert_allclose(all_scores(model, dense), dense @ textbook(dense, 20.0), atol=2e-6)


def test_both_sides_agree_at_a_lower_rank_too() -> None:
    X = random_matrix(50, 70, seed=2)
    dense = X.toarray().astype(np.float64)
    users, items = (all_scores(fit_ease(X, penalty=5.0, rank=12, side=side), dense) for side in ("users", "items"))
    np.testing.assert_allclose(users, items, atol=2e-6)
    assert fit_ease(X, penalty=5.0, rank=12).factors.shape == (70, 12)


def test_the_randomized_method_finds_the_same_strong_directions() -> None:
    rng = np.random.default_rng(0)
    taste = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 120))
    X = sp.csr_array((taste > 2.0).astype(np.float32))
    dense = X.toarray().astype(np.float64)
    exact = all_scores(fit_ease(X, penalty=10.0, rank=8), dense)
    random = all_scores(fit_ease(X, penalty=10.0, rank=8, side="random"), dense)
    np.testing.assert_allclose(random, exact, atol=1e-3)  # scores go up to about 1


@pytest.mark.long
def test_features_are_rows_below_the_users(sample: Dataset) -> None:
    X = sample.ratings.matrix()
    features = film_features(sample.catalogue, genre_weight=2.0, year_weight=1.5)
    model = fit_ease(X, penalty=50.0, features=features)
    rated = model.recommendable
    np.testing.assert_array_equal(rated, sample.ratings.item_counts() > 0)
    stacked = np.vstack([X.toarray(), features.toarray()]).astype(np.float64)[:, rated]
    history = X.toarray()[3]
    expected = history[rated] @ textbook(stacked, 50.0)
    seen = np.flatnonzero(history)
    scores = model.scores(seen, np.ones(len(seen), dtype=np.float32))
    np.testing.assert_allclose(scores[rated], expected, atol=1e-5)


def test_films_that_few_rated_are_known_by_their_features_alone() -> None:
    X = random_matrix(40, 50, seed=3)
    counts = X.toarray().sum(axis=0)
    few = counts < 6
    assert few.any()
    assert not few.all()
    features = sp.csr_array(np.random.default_rng(0).random((5, 50)))
    model = fit_ease(X, penalty=5.0, features=features, min_raters=6)
    np.testing.assert_array_equal(model.recommendable, ~few)
    # The model does not change with who rated them.
    other = X.toarray()
    other[:, few] = np.roll(other[:, few], 1, axis=0)
    again = fit_ease(sp.csr_array(other), penalty=5.0, features=features, min_raters=6)
    np.testing.assert_array_equal(model.factors, again.factors)
    bare = fit_ease(X, penalty=5.0, min_raters=6)
    np.testing.assert_array_equal(bare.factors[few], 0)


@pytest.mark.parametrize("side", ["users", "items"])
def test_films_that_few_rated_change_nothing_for_the_others_and_resemble_films_like_them(side: ease.Side) -> None:
    X, features = random_matrix(40, 50, seed=3), sp.csr_array(np.random.default_rng(0).random((5, 50)))
    alone = fit_ease(X, penalty=5.0, features=features, side=side)
    wider = sp.csr_array(sp.hstack([X, sp.csr_array((40, 1))]))
    twin = sp.csr_array(sp.hstack([features, features[:, [7]]]))
    model = fit_ease(wider, penalty=5.0, features=twin, side=side)  # the last film has the features of film 7
    np.testing.assert_array_equal(model.recommendable, np.arange(51) < 50)
    history, weights = np.array([3, 9]), np.ones(2, dtype=np.float32)
    np.testing.assert_allclose(model.scores(history, weights)[:50], alone.scores(history, weights), atol=1e-6)
    lengths = np.linalg.norm(model.factors, axis=1)
    assert int(np.argmax(model.factors[:50] @ model.factors[50] / lengths[:50])) == 7


def test_long_histories_count_less_with_an_exponent() -> None:
    X = random_matrix(30, 40, seed=4)
    n = X.toarray().sum(axis=1)
    weighted = X.toarray().astype(np.float64) * ((n / n.mean()) ** -0.5)[:, None]
    model = fit_ease(X, penalty=8.0, length_exponent=0.5)
    dense = X.toarray().astype(np.float64)
    np.testing.assert_allclose(all_scores(model, dense), dense @ textbook(weighted, 8.0), atol=2e-6)


def test_side_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "LARGEST_EIGENPROBLEM", 20)
    X = random_matrix(30, 40)
    with pytest.raises(ValueError, match="30 x 40 take too long: choose a rank"):
        fit_ease(X, penalty=5.0)
    np.testing.assert_array_equal(
        fit_ease(X, penalty=5.0, rank=5).factors, fit_ease(X, penalty=5.0, rank=5, side="random").factors
    )


@pytest.mark.parametrize("user", [7, 50, 123])
def test_the_factors_do_not_show_the_history_of_the_only_user_of_a_film(sample: Dataset, user: int) -> None:
    """The partners of a film that one user rated are that user's history; `min_raters` alone prevents it.

    Neither features nor a lower rank help here: the two fits below differ in nothing else.
    """
    X = sample.ratings.matrix().toarray()
    X = np.hstack([X, np.zeros((len(X), 1), dtype=np.float32)])
    X[user, -1] = 1  # a film that nobody else has rated
    history = np.flatnonzero(X[user, :-1])

    def readable(min_raters: int, rank: int | None) -> float:
        model = fit_ease(sp.csr_array(X), penalty=1000.0, min_raters=min_raters, rank=rank)
        partners = model.factors @ model.factors[-1]
        strongest = np.argsort(-partners[:-1])[: len(history)]
        return float(np.isin(strongest, history).mean())

    for rank, least in ((None, 0.9), (64, 0.5)):
        assert readable(min_raters=1, rank=rank) > least
        assert readable(min_raters=2, rank=rank) < 0.2

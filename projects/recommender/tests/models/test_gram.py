"""EASE of a Gram matrix: the model that `ease.py` fits of the ratings, also when people are taken back."""

from dataclasses import replace

import numpy as np
import pytest

from recommender.config import EaseSettings
from recommender.data.catalogue import Catalogue, Film
from recommender.data.ratings import Ratings
from recommender.data.shaping import emphasis, shaping_films
from recommender.models.fit import decompose_full, fit_full
from recommender.models.gram import Gram, decompose_gram, fit_gram
from recommender.models.item_factors import ItemFactors

SETTINGS = EaseSettings(rank=16, min_raters=3, penalty=30.0)


FILMS = Catalogue(
    tuple(
        Film(number, f"film {number}", 1930 + 7 * number % 90 or None, ("Drama", "War", "Crime")[: number % 4], ())
        for number in range(110)
    )
)


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    """90 people, who rated the first of 110 films more often; the last ten nobody."""
    rng, n = np.random.default_rng(0), 90
    rated = rng.random((n, 110)) < rng.uniform(0.1, 0.9, (n, 1)) * np.linspace(0.9, -0.09, 110).clip(0) ** 2
    users, items = np.nonzero(rated)
    columns = (users.astype(np.int32), items.astype(np.int32), np.full(len(users), 4, dtype=np.float32))
    return Ratings(*columns, np.arange(len(users)), n, 110)


def gram_of(ratings: Ratings, settings: EaseSettings = SETTINGS, most: int = 5_000) -> Gram:
    raters, lengths = ratings.item_counts(), ratings.user_counts()
    films = shaping_films(raters, min_raters=settings.min_raters, most=most)
    X = ratings.matrix()[:, films].toarray() * emphasis(lengths, settings.length_exponent)[:, None]
    return Gram(X.T @ X, films, raters, lengths)


def scores(model: ItemFactors, ratings: Ratings) -> np.ndarray:
    """Every film for every history."""
    items = [ratings.items[ratings.users == user] for user in range(ratings.n_users)]
    return np.array([model.scores(each, np.linspace(0.5, 1, len(each), dtype=np.float32)) for each in items])


def assert_same(model: ItemFactors, other: ItemFactors, ratings: Ratings) -> None:
    np.testing.assert_array_equal(model.recommendable, other.recommendable)
    np.testing.assert_allclose(scores(model, ratings), scores(other, ratings), atol=1e-5)
    # Films that few rated too: by their products with all others, since directions have no sign.
    products = [each.factors @ each.factors.T for each in (model, other)]
    np.testing.assert_allclose(*products, atol=1e-5)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"rank": None},
        {"min_raters": 1, "length_exponent": 0.0},
        {"length_exponent": 0.5, "min_raters": 8},
        {"genre_weight": 0.0, "year_weight": 0.0},
        {"rank": 500},
    ],
    ids=str,
)
def test_it_is_the_model_of_the_ratings(ratings: Ratings, changed: dict[str, float]) -> None:
    settings = SETTINGS.model_copy(update=changed)
    of_ratings = fit_full(ratings.matrix(), FILMS, settings)
    assert_same(fit_gram(gram_of(ratings, settings), FILMS, settings), of_ratings, ratings)


def test_one_decomposition_serves_every_penalty_and_lower_rank(ratings: Ratings) -> None:
    of_ratings = decompose_full(ratings.matrix(), FILMS, SETTINGS)
    of_gram = decompose_gram(gram_of(ratings), FILMS, SETTINGS)
    for penalty, rank in ((5.0, 16), (300.0, 7)):
        pair = [each.at(penalty=penalty, rank=rank) for each in (of_gram, of_ratings)]
        assert_same(*pair, ratings)


def test_films_beyond_the_limit_are_as_if_nobody_had_rated_them(ratings: Ratings) -> None:
    """They keep what they count in the length of a history, their features, and their place in the catalogue."""
    most = 40
    films = shaping_films(ratings.item_counts(), min_raters=3, most=most)
    model = fit_gram(gram_of(ratings, most=most), FILMS, SETTINGS)
    assert model.recommendable.sum() == most < (ratings.item_counts() >= 3).sum()
    np.testing.assert_array_equal(np.flatnonzero(model.recommendable), films)
    without = ratings.where(np.isin(ratings.items, films))
    no_lengths = SETTINGS.model_copy(update={"length_exponent": 0.0})
    limited = fit_gram(gram_of(ratings, no_lengths, most), FILMS, no_lengths)
    assert_same(limited, fit_full(without.matrix(), FILMS, no_lengths), ratings)
    assert len(model.factors) == ratings.n_items
    beyond = np.setdiff1d(np.arange(110), films)
    assert (model.own[beyond] > 0).all()  # known by features


@pytest.mark.parametrize("exponent", [0.0, 0.4])
def test_taking_people_back_is_a_fit_without_them(ratings: Ratings, exponent: float) -> None:
    settings = SETTINGS.model_copy(update={"length_exponent": exponent})
    gone = np.arange(0, 90, 3)
    theirs, others = (ratings.where(np.isin(ratings.users, gone) == leave) for leave in (True, False))
    whole = gram_of(ratings, settings)
    left = whole.without(theirs, settings)
    assert len(left.films) < len(whole.films)  # some films have too few raters then
    np.testing.assert_allclose(left.matrix, gram_of(others, settings).matrix, atol=1e-9)
    np.testing.assert_array_equal(left.raters, others.item_counts())
    refitted = fit_full(others.matrix(), FILMS, settings)
    assert_same(fit_gram(left, FILMS, settings), refitted, others)
    assert not np.allclose(scores(fit_gram(whole, FILMS, settings), others), scores(refitted, others), atol=1e-5)


def test_a_catalogue_without_years_needs_none_where_years_count_nothing(ratings: Ratings) -> None:
    undated = Catalogue(tuple(replace(film, year=None) for film in FILMS.films))
    plain = SETTINGS.model_copy(update={"genre_weight": 0.0, "year_weight": 0.0})
    assert fit_gram(gram_of(ratings), undated, plain).factors.any()

"""Rows of genres and of years."""

import numpy as np

from recommender.data.catalogue import Catalogue, Film
from recommender.models.features import film_features

CATALOGUE = Catalogue(
    (
        Film(1, "A", 1990, ("Drama",), ("A",)),
        Film(2, "B", 1991, ("Comedy", "Drama"), ("B",)),
        Film(3, "C", 2010, (), ("C",)),
        Film(4, "D", None, ("Comedy",), ("D",)),
    )
)


def test_genre_rows_come_first() -> None:
    rows = film_features(CATALOGUE, genre_weight=2.0, year_weight=1.0).toarray()
    np.testing.assert_array_equal(rows[:2], [[0, 2, 0, 2], [2, 2, 0, 0]])


def test_films_of_near_years_are_alike_and_an_unknown_year_is_like_none() -> None:
    years = film_features(CATALOGUE, genre_weight=1.0, year_weight=3.0).toarray()[2:]
    cosine = (years.T @ years) / np.maximum(
        np.linalg.norm(years, axis=0) * np.linalg.norm(years, axis=0)[:, None], 1e-9
    )
    assert cosine[0, 1] > 0.95
    assert cosine[0, 2] < 0.05
    np.testing.assert_array_equal(years[:, 3], 0)
    assert years.max() == 3.0

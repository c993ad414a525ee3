"""What a film has before anybody has rated it: genres and period, as numbers."""

import numpy as np
import scipy.sparse as sp

from recommender.config import EaseSettings
from recommender.data.catalogue import Catalogue

YEARS_APART = 3  # distance of the points in time that a film is compared with
FADE_YEARS = 4.0  # standard deviation of the bell around each of them
SMALLEST = 1e-3  # values below it are left out


def features_of(catalogue: Catalogue, settings: EaseSettings) -> sp.csr_array:
    """Return the rows of these settings, shape (n_features, n_films); none where neither genres nor years count."""
    if settings.genre_weight == settings.year_weight == 0:
        return sp.csr_array((0, len(catalogue)))
    return film_features(catalogue, genre_weight=settings.genre_weight, year_weight=settings.year_weight)


def film_features(catalogue: Catalogue, *, genre_weight: float, year_weight: float) -> sp.csr_array:
    """Return one row per genre and per point in time, shape (n_features, n_films).

    A genre row holds `genre_weight` for its films. A time row holds `year_weight` for films of its year and less
    for films around it, so that films of neighboring years are alike; a film of undated year has none.
    """
    genres = catalogue.genres.T * genre_weight
    dated = catalogue.years > 0
    points = np.arange(catalogue.years[dated].min(), catalogue.years.max() + YEARS_APART, YEARS_APART)
    distance = (catalogue.years[None, :] - points[:, None]) / FADE_YEARS
    closeness = np.where(dated, np.exp(-0.5 * distance**2), 0.0)
    closeness[closeness < SMALLEST] = 0.0
    return sp.csr_array(np.vstack([genres, closeness * year_weight]))

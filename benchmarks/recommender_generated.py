"""Ratings of any number of people, for the benchmark of size: no data set of that size may be shipped.

Each film belongs to one of a few tastes, which have their genres and their period. Each user starts with one taste
and drifts toward another, so that what was rated last says most about what comes next. Few films are rated by
many and most by few.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Genres of a taste, and the year around which its films were made.
TASTES: tuple[tuple[str, int], ...] = (
    ("Action|Sci-Fi|Thriller", 2004),
    ("Comedy|Romance", 1999),
    ("Drama|War", 1972),
    ("Animation|Children|Fantasy", 2008),
    ("Horror|Mystery", 1985),
    ("Crime|Film-Noir", 1950),
    ("Documentary", 2010),
    ("Adventure|Western", 1962),
)
NEWEST_RATING = 1_500_000_000  # seconds since 1970: July 2017
YEAR_OF_SECONDS = 365 * 24 * 3600


def write_generated(folder: Path, *, n_users: int, n_films: int, mean_ratings: int) -> Path:
    """Write ``ratings.csv`` and ``movies.csv`` in the format of latest-small into `folder`, and return it.

    `mean_ratings` are draws per user on average; a film drawn twice counts once, so there are somewhat fewer ratings.
    """
    rng = np.random.default_rng(0)
    taste_of_film = rng.integers(len(TASTES), size=n_films)
    ids = np.sort(rng.choice(np.arange(1, 20 * n_films), size=n_films, replace=False))
    users, films, elapsed = _choices(rng, taste_of_film, n_users, mean_ratings)
    quality, mildness = rng.normal(0, 0.5, n_films), rng.normal(0, 0.4, n_users)
    stars = 3.6 + quality[films] + mildness[users] + rng.normal(0, 0.7, len(films))
    start = NEWEST_RATING - rng.integers(YEAR_OF_SECONDS, 10 * YEAR_OF_SECONDS, size=n_users)
    ratings = {
        "userId": users + 1,
        "movieId": ids[films],
        "rating": np.clip(np.round(stars * 2) / 2, 0.5, 5.0),
        "timestamp": start[users] + (elapsed * YEAR_OF_SECONDS).astype(np.int64),
    }
    genres, periods = zip(*(TASTES[taste] for taste in taste_of_film), strict=True)
    years = np.clip(np.round(rng.normal(periods, 6)), 1920, 2017).astype(int)
    titles = [f"Film {film} ({year})" for film, year in zip(ids, years, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(ratings).to_csv(folder / "ratings.csv", index=False)
    pd.DataFrame({"movieId": ids, "title": titles, "genres": genres}).to_csv(folder / "movies.csv", index=False)
    return folder


def _choices(
    rng: np.random.Generator, taste_of_film: NDArray[np.int64], n_users: int, mean_ratings: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return who chose what, and when in the user's time from 0 to 1; in order of user and time."""
    n_films, n_tastes = len(taste_of_film), len(TASTES)
    appeal = (1.0 + rng.permutation(n_films)) ** -0.9  # Zipf's long tail
    lengths = rng.lognormal(np.log(mean_ratings) - 0.8**2 / 2, 0.8, n_users).astype(np.int64)
    lengths = np.maximum(lengths, mean_ratings)
    users = np.repeat(np.arange(n_users), lengths)
    elapsed = rng.random(len(users))
    first, second = rng.integers(n_tastes, size=(2, n_users))
    # The first quarter of a history is all first taste, the last quarter all second.
    taste = np.where(rng.random(len(users)) < 2 * elapsed - 0.5, second[users], first[users])
    anything = rng.random(len(users)) < 0.1  # everybody sees what everybody sees
    drawn = np.empty(len(users), dtype=np.int64)
    for number in range(n_tastes + 1):
        rows = anything if number == n_tastes else (taste == number) & ~anything
        weight = appeal if number == n_tastes else appeal * np.where(taste_of_film == number, 1.0, 0.02)
        share = np.cumsum(weight) / weight.sum()
        drawn[rows] = np.searchsorted(share, rng.random(int(rows.sum())), side="right")
    drawn = np.minimum(drawn, n_films - 1)
    order = np.lexsort((elapsed, users))
    users, drawn, elapsed = users[order], drawn[order], elapsed[order]
    _, once = np.unique(users * n_films + drawn, return_index=True)
    once.sort()
    return users[once], drawn[once], elapsed[once]

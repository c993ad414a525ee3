"""Invented ratings in the exact format of MovieLens latest-small, to train in seconds and without a network.

Each film belongs to one of a few tastes, which have their genres and their period. Each user starts with one taste
and drifts towards another, so that what was rated last says most about what comes next. Few films are rated by
many and most by few. None of the films exists.
"""

import csv
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Genres of a taste, and the year around which its films were made.
TASTES: tuple[tuple[tuple[str, ...], int], ...] = (
    (("Action", "Sci-Fi", "Thriller"), 2004),
    (("Comedy", "Romance"), 1999),
    (("Drama", "War"), 1972),
    (("Animation", "Children", "Fantasy"), 2008),
    (("Horror", "Mystery"), 1985),
    (("Crime", "Film-Noir"), 1950),
    (("Documentary",), 2010),
    (("Adventure", "Western"), 1962),
)
# fmt: off
FIRST_WORDS = (
    "Silent", "Crimson", "Distant", "Paper", "Hollow", "Golden", "Northern", "Borrowed", "Electric", "Forgotten",
    "Little", "Midnight", "Painted", "Velvet", "Última", "Wandering", "Broken", "Étoile", "Quiet", "Glass", "Salt",
    "Winter", "Copper", "Restless", "Lantern",
)
SECOND_WORDS = (
    "Harbour", "Orchard", "Machine", "Letter", "Garden", "Signal", "Brother", "Island", "Clockmaker", "Tide",
    "Avenue", "Mirror", "Café", "Passenger", "Summer", "Engine", "River", "Witness", "Señora", "Kingdom", "Postman",
    "Balloon", "Archive", "Valley", "Parade",
)
# fmt: on
NEWEST_RATING = 1_500_000_000  # seconds since 1970: July 2017
YEAR_OF_SECONDS = 365 * 24 * 3600
MIN_DRAWS = 30  # per user; MovieLens has nobody with fewer than 20 ratings


def write_sample(
    folder: Path, *, n_users: int = 400, n_films: int = 500, mean_ratings: int = 60, seed: int = 0, dirt: bool = True
) -> Path:
    """Write ``ratings.csv`` and ``movies.csv`` into `folder`, the same ones for the same arguments, and return it.

    Parameters
    ----------
    mean_ratings
        Draws per user on average; a film drawn twice counts once, so there are somewhat fewer ratings.
    dirt
        Whether to add a few defects of each kind that `read_movielens` accounts for: films without a year or
        genre, two films of one title, a film rated twice, ratings off the scale and of no known film.
    """
    rng = np.random.default_rng(seed)
    taste_of_film = rng.integers(len(TASTES), size=n_films)
    ids = np.sort(rng.choice(np.arange(1, 20 * n_films), size=n_films, replace=False))
    users, films, elapsed = _choices(rng, taste_of_film, n_users, mean_ratings)
    values = _stars(rng, users, films, n_users)
    start = NEWEST_RATING - rng.integers(YEAR_OF_SECONDS, 10 * YEAR_OF_SECONDS, size=n_users)
    times = start[users] + (elapsed * YEAR_OF_SECONDS).astype(np.int64)
    movies = _movies(rng, ids, taste_of_film)
    ratings = [
        [str(user + 1), str(ids[film]), f"{value:.1f}", str(time)]
        for user, film, value, time in zip(users, films, values, times, strict=True)
    ]
    if dirt:
        _spoil(movies, ratings, unknown_id=str(20 * n_films + 1))
    folder.mkdir(parents=True, exist_ok=True)
    movies.insert(0, ["movieId", "title", "genres"])
    ratings.insert(0, ["userId", "movieId", "rating", "timestamp"])
    for name, rows in (("movies.csv", movies), ("ratings.csv", ratings)):
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows)
    return folder


def _choices(
    rng: np.random.Generator, taste_of_film: NDArray[np.int64], n_users: int, mean_ratings: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return who chose what, and when in the user's time from 0 to 1; in order of user and time."""
    n_films, n_tastes = len(taste_of_film), len(TASTES)
    appeal = (1.0 + rng.permutation(n_films)) ** -0.9  # Zipf's long tail
    lengths = rng.lognormal(np.log(mean_ratings) - 0.8**2 / 2, 0.8, n_users).astype(np.int64)
    lengths = np.maximum(lengths, min(MIN_DRAWS, mean_ratings))
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


def _stars(
    rng: np.random.Generator, users: NDArray[np.int64], films: NDArray[np.int64], n_users: int
) -> NDArray[np.float64]:
    quality, mildness = rng.normal(0, 0.5, films.max() + 1), rng.normal(0, 0.4, n_users)
    stars = 3.6 + quality[films] + mildness[users] + rng.normal(0, 0.7, len(films))
    return np.asarray(np.clip(np.round(stars * 2) / 2, 0.5, 5.0))


def _movies(rng: np.random.Generator, ids: NDArray[np.int64], taste_of_film: NDArray[np.int64]) -> list[list[str]]:
    """Return id, title and genres of each film; a pair of words comes again, with a number, when all are used."""
    pairs = [f"{first} {second}" for first, second in itertools.product(FIRST_WORDS, SECOND_WORDS)]
    shuffled = rng.permutation(len(pairs))
    movies = []
    for position, (film, taste) in enumerate(zip(ids, taste_of_film, strict=True)):
        genres, period = TASTES[taste]
        name = pairs[shuffled[position % len(pairs)]]
        part = position // len(pairs) + 1
        title = name if part == 1 else f"{name} {part}"
        if rng.random() < 0.3:
            title += ", The"
        year = int(np.clip(round(rng.normal(period, 6)), 1920, 2017))
        kept = [genre for genre in genres if rng.random() < 0.8] or [genres[0]]
        if rng.random() < 0.2:
            kept.append(TASTES[rng.integers(len(TASTES))][0][0])
        movies.append([str(film), f"{title} ({year})", "|".join(sorted(set(kept)))])
    return movies


def _spoil(movies: list[list[str]], ratings: list[list[str]], *, unknown_id: str) -> None:
    """Add the defects that real data have, always the same few."""
    for row in (3, 17):
        movies[row][1] = movies[row][1].rsplit(" (", 1)[0]
    for row in (5, 23):
        movies[row][2] = "(no genres listed)"
    movies[31][1] = movies[30][1]
    for row in (10, 200):
        user, film, _, time = ratings[row]
        ratings.append([user, film, "4.5", str(int(time) + 3600)])
    ratings[40][2] = "7.0"
    ratings[41][2] = "0.0"
    ratings[50][1] = unknown_id

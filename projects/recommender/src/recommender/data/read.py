"""Read and clean any of the three formats of MovieLens, or that of MovieTweetings, and account for every row."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from portfolio_shared.data.checks import DataError, DataReport
from portfolio_shared.data.tables import FileError
from recommender.data.catalogue import Catalogue, Film
from recommender.data.files import RATING_TYPES, Files, find_files
from recommender.data.ratings import Ratings, order_ratings
from recommender.data.titles import parse_title

LOWEST, HIGHEST = 0.5, 5.0  # stars of MovieLens: halves since 2003, whole ones before
NO_GENRE = frozenset({"(no genres listed)", "unknown", ""})
CHILDREN = ("Children's", "Children")  # 100K and 1M spell this genre otherwise than their successors

Contents = tuple[DataReport, Ratings, Catalogue, NDArray[np.int32]]
"""What was read and excluded; ratings; all films, rated or not; the id of each user in the files, shape (n_users,)."""


def read_ratings(folder: Path) -> Contents:
    """Read a data set, whose files tell its format; users and items are numbered in order of their ids.

    Excluded, and counted, are ratings outside 0.5 to 5 stars, ratings of films that the list of films does not
    have, and ratings that the user replaced by a later one of the same film. Two films of one title stay two:
    they may well be two productions, such as the two of "Emma" of 1996; the report counts them. The ratings of
    MovieTweetings, from 0 to 10, are halved to stars; 0 of 10, which no star is, becomes half a star and is counted.

    Parameters
    ----------
    folder
        With ``ratings.csv`` and ``movies.csv`` (latest-small, 25M, 32M), ``ratings.dat`` and ``movies.dat`` (1M, and
        MovieTweetings, whose films have the ids of IMDb), or ``u.data`` and ``u.item`` (100K); or with one folder
        below it that has them.

    Raises
    ------
    DataError
        If files are missing, more than one could be meant, or a line is not of the format.
    """
    files = find_files(folder)
    out_of_ten = files.out_of_ten
    report = DataReport(f"ratings of {folder.name}", rows_read=0)
    if out_of_ten:
        report.notes.append(
            "Format: MovieTweetings, recognized by the films' IMDb ids; ratings from 0 to 10 were halved."
        )
    films = _films(files, report)
    ids = np.array([film.id for film in films])
    parts = [_clean(chunk, ids, report, out_of_ten=out_of_ten) for chunk in files.read_ratings()]
    report.notes += files.notes
    user_ids, ratings = _assemble(parts, report, n_items=len(films))
    counts = ratings.item_counts()
    if unrated := int((counts == 0).sum()):
        report.notes.append(f"{unrated} of {len(films)} films have no rating.")
    return report, ratings, Catalogue(tuple(films)).counted(counts), user_ids


def _films(files: Files, report: DataReport) -> list[Film]:
    """Return the films in order of their id, and note what is odd about them."""
    films: dict[int, Film] = {}
    renamed = 0
    for raw in files.read_films():
        if raw.id in films:
            raise FileError(f"{raw.place}: another film has the id {raw.id} already; expected each id once")
        try:
            title = parse_title(raw.title)
        except ValueError as error:
            raise FileError(f"{raw.place}: {error}") from error
        renamed += CHILDREN[0] in raw.genres
        genres = sorted({CHILDREN[1] if genre == CHILDREN[0] else genre for genre in raw.genres} - NO_GENRE)
        films[raw.id] = Film(raw.id, title.name, title.year, tuple(genres), title.names)
    if not films:
        raise FileError(f"{files.films}: it has no films")
    titles = Counter((film.name, film.year) for film in films.values())
    for what, count in (
        ("films have no year in their title.", sum(film.year is None for film in films.values())),
        ("films have no genre.", sum(not film.genres for film in films.values())),
        ("titles belong to more than one film; they were kept apart.", sum(n > 1 for n in titles.values())),
        (f"films: genre {CHILDREN[0]!r} is called {CHILDREN[1]!r}.", renamed),
    ):
        if count:
            report.notes.append(f"{count} {what}")
    return sorted(films.values(), key=lambda film: film.id)


def _clean(chunk: pd.DataFrame, film_ids: NDArray[np.int64], report: DataReport, *, out_of_ten: bool) -> pd.DataFrame:
    """Return the usable ratings in stars, with films numbered by their position in `film_ids`."""
    report.rows_read += len(chunk)
    if out_of_ten:
        nothing = chunk["value"] == 0
        report.repair("rating of 0 of 10, read as half a star", int(nothing.sum()))
        chunk = chunk.assign(value=(chunk["value"] / 2).mask(nothing, LOWEST))
    on_scale = chunk["value"].between(LOWEST, HIGHEST)  # false for missing values too
    listed = chunk["film"].isin(film_ids)
    report.exclude(f"rating outside {LOWEST} to {HIGHEST} stars", int((~on_scale).sum()))
    report.exclude("rating of a film that the list of films does not have", int((on_scale & ~listed).sum()))
    kept = chunk[on_scale & listed]
    return kept.assign(film=np.searchsorted(film_ids, kept["film"]).astype(np.int32))


def _assemble(parts: list[pd.DataFrame], report: DataReport, *, n_items: int) -> tuple[NDArray[np.int32], Ratings]:
    columns = {name: np.concatenate([part[name].to_numpy() for part in parts]) for name in RATING_TYPES}
    parts.clear()  # on 25M ratings this is half a gigabyte
    if len(columns["user"]) == 0:
        raise DataError(f"{report.name}: none of {report.rows_read} rows can be used: {report.excluded}")
    numbers, user_ids = pd.factorize(columns.pop("user"), sort=True)
    films, values, times = (columns[name] for name in ("film", "value", "time"))
    sizes = {"n_users": len(user_ids), "n_items": n_items}
    ratings, replaced = order_ratings(numbers.astype(np.int32), films, values, times, **sizes)
    report.exclude("rating that the user replaced by a later one of the same film", replaced)
    return np.asarray(user_ids), ratings

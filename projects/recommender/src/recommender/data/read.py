"""Read and clean any of the three formats of MovieLens, or that of MovieTweetings, and account for every row."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from portfolio_shared.data.checks import DataError, DataReport
from portfolio_shared.data.tables import FileError
from recommender.data.catalogue import Catalogue
from recommender.data.files import find_files
from recommender.data.films import films_of
from recommender.data.ratings import Ratings, order_ratings
from recommender.data.rows import RATING_TYPES, ROWS_AT_ONCE, read_rows

LOWEST, HIGHEST = 0.5, 5.0  # stars of MovieLens: halves since 2003, whole ones before

Columns = dict[str, NDArray[Any]]
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
    films = films_of(files.read_films(), report)
    if not films:
        raise FileError(f"{files.films}: it has no films")
    ids = pd.Index(np.array([film.id for film in films], dtype=np.int32))
    parts = (_clean(chunk, ids, report, out_of_ten=out_of_ten) for chunk in read_rows(files))
    columns = _joined(parts)
    report.notes += files.notes
    user_ids, ratings = _assemble(columns, report, n_items=len(films))
    counts = ratings.item_counts()
    if unrated := int((counts == 0).sum()):
        report.notes.append(f"{unrated} of {len(films)} films have no rating.")
    return report, ratings, Catalogue(tuple(films)).counted(counts), user_ids


def _clean(chunk: pd.DataFrame, film_ids: pd.Index, report: DataReport, *, out_of_ten: bool) -> Columns:
    """Return the usable ratings in stars, with films numbered by their position in `film_ids`."""
    report.rows_read += len(chunk)
    if out_of_ten:
        nothing = chunk["value"] == 0
        report.repair("rating of 0 of 10, read as half a star", int(nothing.sum()))
        chunk = chunk.assign(value=(chunk["value"] / 2).mask(nothing, LOWEST))
    on_scale = chunk["value"].between(LOWEST, HIGHEST).to_numpy()  # false for missing values too
    films = film_ids.get_indexer(pd.Index(chunk["film"])).astype(np.int32)
    listed = films >= 0
    report.exclude(f"rating outside {LOWEST} to {HIGHEST} stars", int((~on_scale).sum()))
    report.exclude("rating of a film that the list of films does not have", int((on_scale & ~listed).sum()))
    columns = {name: chunk[name].to_numpy() for name in RATING_TYPES} | {"film": films}
    return {name: column[on_scale & listed] for name, column in columns.items()}


def _joined(parts: Iterable[Columns]) -> Columns:
    """Return the columns of all parts, which grow where they are: of 25 million ratings a copy is half a gigabyte."""
    columns = {name: np.empty(0, dtype) for name, dtype in RATING_TYPES.items()}
    for part in parts:
        for name, column in columns.items():
            before = len(column)
            column.resize(before + len(part[name]), refcheck=False)
            column[before:] = part[name]
    return columns


def _assemble(columns: Columns, report: DataReport, *, n_items: int) -> tuple[NDArray[np.int32], Ratings]:
    users, films, values, times = columns.values()
    if len(users) == 0:
        raise DataError(f"{report.name}: none of {report.rows_read} rows can be used: {report.excluded}")
    user_ids = np.unique(users)
    for start in range(0, len(users), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        users[rows] = np.searchsorted(user_ids, users[rows])
    ratings, replaced = order_ratings(users, films, values, times, n_users=len(user_ids), n_items=n_items)
    report.exclude("rating that the user replaced by a later one of the same film", replaced)
    return user_ids, ratings

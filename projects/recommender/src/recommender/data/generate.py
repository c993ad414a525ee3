"""Ratings of any number of people, drawn by SQL: no data set of that size may be shipped.

Each film belongs to one of a few tastes, which have their genres and their period. Each person starts with one taste
and drifts toward another, so that what was rated last says most about what comes next. Few films are rated by many and
most by few, and a history has as many films as one of MovieLens 25M. For timing: the data are neither MovieLens nor
the sample.
"""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import duckdb
from pyarrow import csv

from portfolio_shared.data.archives import filled_once
from portfolio_shared.data.checks import DataError

FILMS = 60_000
PEOPLE_AT_ONCE, ROWS_AT_ONCE = 10_000, 100_000  # bound the memory


def generate(
    folder: Path, *, ratings: int, films: int = FILMS, seed: int = 0, advance: Callable[[int], object] = lambda _: None
) -> Path:
    """Write ``ratings.csv`` and ``movies.csv`` in the format of MovieLens 25M into a new folder, and return it.

    The same arguments give the same files. People come one after the other until there are so many ratings: the first
    million are the same, however many there are. `advance` is called with each number of ratings that was written.

    Raises
    ------
    DataError
        If there is such a folder.
    """
    if folder.exists():
        raise DataError(f"{folder} is there already: name another folder, or remove it")

    def fill(new: Path) -> None:
        with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(new / "temp")}) as connection:
            _set(connection, seed=seed, films=films)
            connection.execute(_sql("films"))
            connection.sql("SELECT film_id AS movieId, title, genres FROM films ORDER BY 1").write_csv(
                str(new / "movies.csv")
            )
            _write_ratings(connection, new / "ratings.csv", ratings, advance)

    return filled_once(folder, fill)


def _write_ratings(
    connection: duckdb.DuckDBPyConnection, path: Path, ratings: int, advance: Callable[[int], object]
) -> None:
    """Draw the ratings of some people after the other, and write them down as they come."""
    query, first, left = _sql("ratings"), 0, ratings
    with path.open("wb") as stream:
        stream.write(b"userId,movieId,rating,timestamp\n")
        while left:
            _set(connection, first=first, last=first + PEOPLE_AT_ONCE, most=left)
            for batch in connection.sql(query).to_arrow_reader(ROWS_AT_ONCE):
                csv.write_csv(batch, stream, csv.WriteOptions(include_header=False))
                left -= batch.num_rows
                advance(batch.num_rows)
            first += PEOPLE_AT_ONCE


def _set(connection: duckdb.DuckDBPyConnection, **variables: int) -> None:
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {name} = {value}")


def _sql(what: str) -> str:
    return files("recommender.data").joinpath(f"generate_{what}.sql").read_text(encoding="utf-8")

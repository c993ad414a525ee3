"""The tables of an ETL folder as the data set that training takes: the same as of the files they were made of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from portfolio_shared.data.checks import DataError, DataReport
from recommender.data.catalogue import Catalogue, Film
from recommender.data.etl.manifest import checked
from recommender.data.etl.stages import FILMS, RATINGS
from recommender.data.files import RawFilm
from recommender.data.films import films_of
from recommender.data.ratings import Ratings
from recommender.data.read import Contents

COLUMNS = {"user_id": np.int32, "film_id": np.int32, "stars": np.float32, "at": np.int64}


def read_stored(folder: Path) -> Contents:
    """Read all ratings of an ETL folder into memory: what `read_ratings` returns of the files.

    Raises
    ------
    DataError
        If a file is missing or is not the one that was written, the folder is written anew while it is read, or rows
        are out of order.
    """
    with checked(folder, (FILMS, RATINGS)) as manifest:
        report = manifest.report()
        films = stored_films(folder, report)
        columns = _filled(sorted((folder / RATINGS).glob("*.parquet")))
    ids = np.array([film.id for film in films])
    user_ids, users = np.unique(columns["user_id"], return_inverse=True)
    items = np.searchsorted(ids, columns["film_id"]).astype(np.int32)
    ratings = Ratings(users.astype(np.int32), items, columns["stars"], columns["at"], len(user_ids), len(ids))
    if not _in_order(ratings) or not np.array_equal(ids[items], columns["film_id"]):
        raise DataError(f"{folder / RATINGS}: rows are out of order, or of films that {FILMS} does not have")
    counts = ratings.item_counts()
    if unrated := int((counts == 0).sum()):
        report.notes.append(f"{unrated} of {len(films)} films have no rating.")
    return report, ratings, Catalogue(tuple(films)).counted(counts), user_ids


def stored_films(folder: Path, report: DataReport) -> list[Film]:
    """Return the films of an ETL folder in order of their id, and note what is odd about them."""

    def raw() -> Iterator[RawFilm]:
        for film in pq.read_table(folder / FILMS).to_pylist():
            place = f"{folder / FILMS}, film {film['film_id']}"
            yield RawFilm(place, film["film_id"], film["title"], film["genres"].split("|"))

    return films_of(raw(), report)


def _filled(paths: list[Path]) -> dict[str, NDArray[Any]]:
    """Read files one row group after the other into arrays of the whole length, so that no row is held twice."""
    total = sum(pq.read_metadata(path).num_rows for path in paths)
    columns = {name: np.empty(total, dtype=kind) for name, kind in COLUMNS.items()}
    start = 0
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=list(COLUMNS)):
                for name, column in columns.items():
                    column[start : start + len(batch)] = batch.column(name).to_numpy()
                start += len(batch)
    return columns


def _in_order(ratings: Ratings) -> bool:
    """Return whether rows are in order of user, time and item, and no pair occurs twice in a row of one time."""
    user, time, item = (np.diff(column) for column in (ratings.users, ratings.times, ratings.items))
    return bool(((user > 0) | ((user == 0) & ((time > 0) | ((time == 0) & (item > 0))))).all())

"""Read and clean any of the three formats of MovieLens, or that of MovieTweetings, and account for every row."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from portfolio_shared.data.checks import DataError, DataReport
from recommender.data.catalogue import Catalogue, Film
from recommender.data.ratings import Ratings, order_ratings
from recommender.data.titles import parse_title

ROWS_AT_ONCE = 1_000_000  # bounds the memory of text that is being parsed
LOWEST, HIGHEST = 0.5, 5.0  # stars of MovieLens: halves since 2003, whole ones before
IMDB_DIGITS = 7  # the least in an id of IMDb, which has zeros in front; the films of MovieLens 1M end with 3952
RATING_TYPES = {"user": np.int32, "film": np.int32, "value": np.float32, "time": np.int64}
CSV_NAMES = {"userId": "user", "movieId": "film", "rating": "value", "timestamp": "time"}
NO_GENRE = frozenset({"(no genres listed)", "unknown", ""})
CHILDREN = ("Children's", "Children")  # 100K and 1M spell this genre otherwise than their successors
# fmt: off
GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
RawFilm = tuple[int, str, list[str]]  # id, title as it stands in the file, genres


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
        MovieTweetings, whose films have the ids of IMDb), or ``u.data`` and ``u.item`` (100K).

    Raises
    ------
    DataError
        If files are missing or a line is not of the format.
    """
    try:
        chunks, raw_films, out_of_ten = _open(folder)
        report = DataReport(f"ratings of {folder.name}", rows_read=0)
        if out_of_ten:
            report.notes.append(
                "Format: MovieTweetings, recognized by the films' IMDb ids; ratings from 0 to 10 were halved."
            )
        films = _films(raw_films, report)
        ids = np.array([film.id for film in films])
        parts = [_clean(chunk, ids, report, out_of_ten=out_of_ten) for chunk in chunks]
    except (ValueError, UnicodeDecodeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder} is not of the format that its file names tell: {error}") from error
    user_ids, ratings = _assemble(parts, report, n_items=len(films))
    counts = ratings.item_counts()
    if unrated := int((counts == 0).sum()):
        report.notes.append(f"{unrated} of {len(films)} films have no rating.")
    return report, ratings, Catalogue(tuple(films)).counted(counts), user_ids


def _open(folder: Path) -> tuple[Iterator[pd.DataFrame], Iterator[RawFilm], bool]:
    """Return the ratings in pieces and the films, neither read yet, and whether ratings are from 0 to 10."""

    def has(*names: str) -> bool:
        return all((folder / name).is_file() for name in names)

    if has("ratings.csv", "movies.csv"):
        return _ratings_csv(folder / "ratings.csv"), _films_csv(folder / "movies.csv"), False
    if has("ratings.dat", "movies.dat"):
        films = folder / "movies.dat"
        return _ratings_dat(folder / "ratings.dat"), _films_dat(films), _has_imdb_ids(films)
    if has("u.data", "u.item"):
        return _ratings_tab(folder / "u.data"), _films_bar(folder / "u.item"), False
    raise DataError(
        f"{folder} is no folder of MovieLens or MovieTweetings: expected ratings.csv and movies.csv, or ratings.dat "
        "and movies.dat, or u.data and u.item"
    )


def _has_imdb_ids(path: Path) -> bool:
    """Return whether the films have the ids of IMDb, which tell MovieTweetings from MovieLens 1M of the same names.

    Most, not all: later snapshots have a few ids that somebody mistyped, such as 25 and 0443.
    """
    ids = [line.split("::")[0] for line in _decode(path).splitlines()]
    return 2 * sum(len(film) >= IMDB_DIGITS for film in ids) > len(ids)


def _ratings_csv(path: Path) -> Iterator[pd.DataFrame]:
    types = {theirs: RATING_TYPES[ours] for theirs, ours in CSV_NAMES.items()}
    for chunk in pd.read_csv(path, usecols=list(CSV_NAMES), dtype=types, chunksize=ROWS_AT_ONCE):
        yield chunk.rename(columns=CSV_NAMES)


def _ratings_dat(path: Path) -> Iterator[pd.DataFrame]:
    # To the fast parser, 1::1193::5::978300760 is seven fields between single colons, three of them empty.
    fields = {0: "user", 2: "film", 4: "value", 6: "time"}
    types = {column: RATING_TYPES[name] for column, name in fields.items()}
    reader = pd.read_csv(path, sep=":", header=None, usecols=list(fields), dtype=types, chunksize=ROWS_AT_ONCE)
    for chunk in reader:
        yield chunk.rename(columns=fields)


def _ratings_tab(path: Path) -> Iterator[pd.DataFrame]:
    yield from pd.read_csv(path, sep="\t", names=list(RATING_TYPES), dtype=RATING_TYPES, chunksize=ROWS_AT_ONCE)


def _films_csv(path: Path) -> Iterator[RawFilm]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for line, row in enumerate(csv.DictReader(stream), start=2):
            if row.keys() != {"movieId", "title", "genres"} or None in row.values():
                raise DataError(f"{path}, line {line}: expected movieId,title,genres, found {row}")
            yield int(row["movieId"]), row["title"], row["genres"].split("|")


def _films_dat(path: Path) -> Iterator[RawFilm]:
    for line, text in enumerate(_decode(path).splitlines(), start=1):
        fields = text.split("::")
        if len(fields) != 3:
            raise DataError(f"{path}, line {line}: expected id::title::genres, found {text!r}")
        yield int(fields[0]), fields[1], fields[2].split("|")


def _films_bar(path: Path) -> Iterator[RawFilm]:
    for line, text in enumerate(_decode(path).splitlines(), start=1):
        fields = text.split("|")
        if len(fields) != 5 + len(GENRES_100K):
            raise DataError(f"{path}, line {line}: expected {5 + len(GENRES_100K)} fields between bars, found {text!r}")
        flags = zip(GENRES_100K, fields[5:], strict=True)
        yield int(fields[0]), fields[1], [genre for genre, flag in flags if flag == "1"]


def _decode(path: Path) -> str:
    """Read a file in UTF-8, or one of 100K or 1M as published, in Latin-1."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:  # accented letters in Latin-1 are no valid UTF-8
        return content.decode("latin-1")


def _films(raw: Iterator[RawFilm], report: DataReport) -> list[Film]:
    """Return the films in order of their id, and note what is odd about them."""
    films, renamed = [], 0
    for number, text, listed in raw:
        title = parse_title(text)
        renamed += CHILDREN[0] in listed
        genres = sorted({CHILDREN[1] if genre == CHILDREN[0] else genre for genre in listed} - NO_GENRE)
        films.append(Film(number, title.name, title.year, tuple(genres), title.names))
    films.sort(key=lambda film: film.id)
    Catalogue(tuple(films))  # refuses an empty list, and one id for two films
    titles = Counter((film.name, film.year) for film in films)
    for what, count in (
        ("films have no year in their title.", sum(film.year is None for film in films)),
        ("films have no genre.", sum(not film.genres for film in films)),
        ("titles belong to more than one film; they were kept apart.", sum(n > 1 for n in titles.values())),
        (f"films: genre {CHILDREN[0]!r} is called {CHILDREN[1]!r}.", renamed),
    ):
        if count:
            report.notes.append(f"{count} {what}")
    return films


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

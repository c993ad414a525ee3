"""The files of a data set as they lie in a folder: which ones they are, and their rows as text and numbers.

Ratings are read by pandas, for speed; where it fails, the rows are read one by one for the first that is wrong.
"""

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from portfolio_shared.data.checks import DataError
from portfolio_shared.data.tables import FileError, Table, misshapen, open_table, open_text
from recommender.data.headings import FILM_COLUMNS, RATING_COLUMNS, columns_of, meaning

ROWS_AT_ONCE = 1_000_000  # bounds the memory of text that is being parsed
FOLDERS_DEEP = 4  # where files are looked for
LARGEST_ID = 2**31 - 1
IMDB_DIGITS = 7  # the least in an id of IMDb, which has zeros in front; the films of MovieLens 1M end with 3952
RATING_TYPES = {"user": np.int32, "film": np.int32, "value": np.float32, "time": np.int64}
PAIRS = {
    "csv": (("ratings.csv", "rating.csv"), ("movies.csv", "movie.csv", "films.csv")),
    "dat": (("ratings.dat",), ("movies.dat",)),
    "100k": (("u.data",), ("u.item",)),
}
"""Names of the file of ratings and of that of films in each format."""
# fmt: off
GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*", re.ASCII)
Rows = Iterator[tuple[int, list[str]]]


@dataclass(frozen=True)
class RawFilm:
    """A film as it stands in a file."""

    place: str  # file and line
    id: int
    title: str
    genres: list[str]


@dataclass(frozen=True)
class Files:
    """The two files of a data set, neither read yet.

    Attributes
    ----------
    ratings, films
        Where they are.
    format
        A key of `PAIRS`.
    notes
        What a reader of the numbers should know, columns that are not read among it; complete once both are read.
    """

    ratings: Path
    films: Path
    format: str
    notes: list[str] = field(default_factory=list)

    @property
    def out_of_ten(self) -> bool:
        """Whether ratings are from 0 to 10: most films have ids of IMDb, which MovieLens 1M of the same names has not.

        Most, not all: later snapshots have a few ids that somebody mistyped, such as 25 and 0443.
        """
        if self.format != "dat":
            return False
        ids = [line.split("::")[0] for line in _decode(self.films)]
        return 2 * sum(len(film) >= IMDB_DIGITS for film in ids) > len(ids)

    def read_ratings(self) -> Iterator[pd.DataFrame]:
        """Yield the ratings in pieces, with the columns of `RATING_TYPES`."""
        if self.format == "csv":
            yield from self._ratings_csv()
        elif self.format == "dat":
            # To the fast parser, 1::1193::5::978300760 is seven fields between single colons, three of them empty.
            names = ["user", "", "film", "", "value", "", "time"]
            yield from _fast(self.ratings, ":", names, rows=lambda: _lines(self.ratings, "::"))
        else:
            names = ["user", "film", "value", "time"]
            yield from _fast(self.ratings, "\t", names, rows=lambda: _lines(self.ratings, "\t"))

    def read_films(self) -> Iterator[RawFilm]:
        """Yield the films in the order of the file."""
        if self.format == "csv":
            yield from self._films_csv()
            return
        expected = "id::title::genres" if self.format == "dat" else f"{5 + len(GENRES_100K)} fields between bars"
        separator, width = ("::", 3) if self.format == "dat" else ("|", 5 + len(GENRES_100K))
        for line, text in enumerate(_decode(self.films), start=1):
            fields, place = text.split(separator), f"{self.films}, line {line}"
            if len(fields) != width:
                raise FileError(f"{place}: expected {expected}, found {text[:200]!r}")
            genres = fields[2].split("|") if self.format == "dat" else _flagged(fields[5:])
            yield RawFilm(place, _film_id(fields[0], place), fields[1], genres)

    def _ratings_csv(self) -> Iterator[pd.DataFrame]:
        def rows() -> Rows:
            with open_table(self.ratings, known=lambda heading: meaning(heading) in RATING_COLUMNS) as table:
                yield from table.rows()

        with open_table(self.ratings, known=lambda heading: meaning(heading) in RATING_COLUMNS) as table:
            columns = columns_of(table, RATING_COLUMNS)
            self._note_others(table, columns)
            first = next(table.rows(), None)
        if first is None:
            raise FileError(f"{self.ratings}: no ratings below the heading")
        line, cells = first
        if wrong := misshapen(line, cells, len(table.headings)):
            raise FileError(f"{self.ratings}: {wrong}")
        names = [""] * len(table.headings)
        for name, place in columns.items():
            names[place] = name
        dates = not WHOLE.fullmatch(cells[columns["time"]])
        yield from _fast(self.ratings, table.separator, names, rows=rows, skip=line - 1, dates=dates)

    def _films_csv(self) -> Iterator[RawFilm]:
        with open_table(self.films, known=lambda heading: meaning(heading) in FILM_COLUMNS) as table:
            columns = columns_of(table, FILM_COLUMNS)
            self._note_others(table, columns)
            for line, cells in table.rows():
                if wrong := misshapen(line, cells, len(table.headings)):
                    raise FileError(f"{self.films}: {wrong}; a title with a comma in it stands in quotation marks")
                film, title, genres = (cells[columns[name]] for name in ("film", "title", "genres"))
                place = f"{self.films}, line {line}"
                yield RawFilm(place, _film_id(film, place), title, genres.split("|"))

    def _note_others(self, table: Table, columns: Mapping[str, int]) -> None:
        read = set(columns.values())
        if others := [heading or "(empty)" for place, heading in enumerate(table.headings) if place not in read]:
            self.notes.append(f"{table.path.name}: columns that are not read: {', '.join(others)}.")


def find_files(folder: Path) -> Files:
    """Find the ratings and the films of one data set, which lie in one folder: this one, or one below it.

    Raises
    ------
    DataError
        If there are none, or more than one file could be meant.
    """
    ratings, films = _candidates(folder, 0), _candidates(folder, 1)
    if len(ratings) == len(films) == 1 and ratings[0][0].parent == films[0][0].parent and ratings[0][1] == films[0][1]:
        return Files(ratings[0][0], films[0][0], ratings[0][1])
    for what, found in (("ratings", ratings), ("films", films)):
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(folder)) for path, _ in found[:5])
            raise DataError(f"{folder} holds more than one file of {what}: {names}; keep one, or name its folder")
    there = [path for path, _ in ratings + films] or sorted(folder.iterdir())[:10]
    names = ", ".join(str(path.relative_to(folder)) for path in there) or "nothing"
    raise DataError(
        f"{folder} is no folder of MovieLens or MovieTweetings: expected ratings.csv and movies.csv, or ratings.dat "
        f"and movies.dat, or u.data and u.item, in one folder; found {names}"
    )


def _candidates(folder: Path, part: int) -> list[tuple[Path, str]]:
    """Return the files that have a name of ratings (part 0) or films (part 1), with their format."""
    formats = {name: kind for kind, pair in PAIRS.items() for name in pair[part]}
    formats |= {f"{name}.gz": kind for name, kind in formats.items() if kind == "csv"}
    found = []
    for place, folders, names in os.walk(folder):
        deep = len(Path(place).relative_to(folder).parts) >= FOLDERS_DEEP
        folders[:] = [] if deep else [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [(Path(place, name), formats[name.casefold()]) for name in names if name.casefold() in formats]
    return sorted(found)


def _fast(
    path: Path, separator: str, names: list[str], *, rows: Callable[[], Rows], skip: int = 0, dates: bool = False
) -> Iterator[pd.DataFrame]:
    """Read ratings by pandas, where `names` says what each column is, if anything; else say which line is wrong."""
    named = [name or f"other {place}" for place, name in enumerate(names)]
    comma = separator in (";", "\t", "|")  # where numbers may have a decimal comma
    types = dict.fromkeys([*named, "surplus"], str) | RATING_TYPES
    types |= ({"value": str} if comma else {}) | ({"time": str} if dates else {})
    try:
        with open_text(path) as text:
            for _ in range(skip):
                text.readline()
            for chunk in pd.read_csv(
                text, sep=separator, header=None, names=[*named, "surplus"], dtype=types, chunksize=ROWS_AT_ONCE
            ):
                blank = ["surplus", *(named[1::2] if separator == ":" else [])]
                yield _numbers(chunk, blank, comma=comma, dates=dates)
    except (ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise FileError(_first_wrong(path, names, rows(), comma=comma, dates=dates) or f"{path}: {error}") from error


def _numbers(chunk: pd.DataFrame, blank: list[str], *, comma: bool, dates: bool) -> pd.DataFrame:
    """Return the columns of `RATING_TYPES`, or raise ValueError if a column that is to be blank is not."""
    if not isinstance(chunk.index, pd.RangeIndex) or chunk[blank].notna().any(axis=None):
        raise ValueError("there are rows with more cells than expected")
    if comma:
        chunk["value"] = pd.to_numeric(chunk["value"].str.replace(",", ".")).astype(np.float32)
    if dates:
        seconds = pd.to_datetime(chunk["time"], utc=True, format="ISO8601").dt.as_unit("s")
        if seconds.isna().any():
            raise ValueError("a date is missing")
        chunk["time"] = seconds.astype(np.int64)
    return chunk[list(RATING_TYPES)]


def _first_wrong(path: Path, names: list[str], rows: Rows, *, comma: bool, dates: bool) -> str | None:
    """Return what is wrong with the first row that is no rating."""
    wanted = RATING_TYPES if path.suffix.lower() == ".dat" else names
    expected = {"user": "a whole number", "film": "a whole number", "value": "stars", "time": "seconds since 1970"}
    if dates:
        expected["time"] = "a date such as 2005-04-02 23:53:47"
    for line, cells in rows:
        if wrong := misshapen(line, cells, len(wanted)):
            return f"{path}: {wrong}"
        for name, cell in zip(wanted, cells, strict=True):
            if name and not _may_be(name, cell.replace(",", ".") if comma and name == "value" else cell, dates=dates):
                return f"{path}, line {line}: {name} is {cell[:80]!r}; expected {expected[name]}"
    return None


def _may_be(name: str, cell: str, *, dates: bool) -> bool:
    try:
        if name == "value":
            return not cell or float(cell) is not None
        if name == "time" and dates:
            return datetime.fromisoformat(cell) is not None
    except ValueError:
        return False
    return bool(WHOLE.fullmatch(cell)) and (name == "time" or abs(int(cell)) <= LARGEST_ID)


def _lines(path: Path, separator: str) -> Rows:
    with open_text(path) as text:
        for line, row in enumerate(text, start=1):
            if row.strip():
                yield line, row.rstrip("\r\n").split(separator)


def _flagged(flags: list[str]) -> list[str]:
    return [genre for genre, flag in zip(GENRES_100K, flags, strict=True) if flag == "1"]


def _film_id(cell: str, place: str) -> int:
    if not WHOLE.fullmatch(cell) or not 1 <= int(cell) <= LARGEST_ID:
        raise FileError(f"{place}: the id of a film is {cell[:80]!r}; expected a whole number from 1 to {LARGEST_ID}")
    return int(cell)


def _decode(path: Path) -> list[str]:
    """Return the lines of a file in UTF-8, or of one of 100K or 1M as published, in Latin-1."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # accented letters in Latin-1 are no valid UTF-8
        text = content.decode("latin-1")
    return [line.rstrip("\n") for line in io.StringIO(text, newline=None)]  # splitlines ends lines at U+0085 as well

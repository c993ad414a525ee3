"""The files of a data set as they lie in a folder: which ones they are, and the films; `rows.py` reads the ratings."""

import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from portfolio_shared.data.checks import DataError
from portfolio_shared.data.tables import FileError, Table, misshapen, open_table
from recommender.data.headings import FILM_COLUMNS, columns_of, meaning

FOLDERS_DEEP = 4  # where files are looked for
LARGEST_ID = 2**31 - 1
IMDB_DIGITS = 7  # the least in an id of IMDb, which has zeros in front; the films of MovieLens 1M end with 3952
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

    def _films_csv(self) -> Iterator[RawFilm]:
        with open_table(self.films, known=lambda heading: meaning(heading) in FILM_COLUMNS) as table:
            columns = columns_of(table, FILM_COLUMNS)
            self.note_others(table, columns)
            for line, cells in table.rows():
                if wrong := misshapen(line, cells, len(table.headings)):
                    raise FileError(f"{self.films}: {wrong}; a title with a comma in it stands in quotation marks")
                film, title, genres = (cells[columns[name]] for name in ("film", "title", "genres"))
                place = f"{self.films}, line {line}"
                yield RawFilm(place, _film_id(film, place), title, genres.split("|"))

    def note_others(self, table: Table, columns: Mapping[str, int]) -> None:
        """Take down the columns that are not read."""
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
